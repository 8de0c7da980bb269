"""Configuration of the documentation; CONTRIBUTING.md has the commands that build and check it."""

import os
import re
import sys
import warnings
from pathlib import Path

# before anything imports pyplot, also in what the gallery starts
os.environ.setdefault("MPLBACKEND", "agg")

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from numpydoc.xref import DEFAULT_LINKS

import skflow

sys.path.insert(0, os.path.dirname(__file__))
import draw_benchmarks
import draw_rooms
import make_inventories

project = "skflow"
author = "the skflow developers"
copyright = author
version = release = skflow.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "drawn",
    "folded",
]
exclude_patterns = [
    "_build",
    "capabilities.md",
    "estimator_checks.md",
    "auto_examples/**/*.ipynb",
    "auto_examples/**/*.py",
]
templates_path = ["_templates"]
default_role = "py:obj"  # single backticks in docstrings are names
nitpicky = False  # types in docstrings are often words

# Objects of other projects, without a network.
intersphinx_mapping = make_inventories.write(
    Path(__file__).parent / "_build" / "inventories"
)
intersphinx_disabled_reftypes = ["std:doc", "std:label"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the sections of the docstrings say more
numpydoc_show_class_members = False  # the template lists them
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # other words than these are words
numpydoc_xref_aliases = {word: word for word in DEFAULT_LINKS} | make_inventories.TYPES

# A copied example is code only: without prompts and without results.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"__init__\.py|[/\\](benchmarks|paper)[/\\]",
    "within_subsection_order": "gallery.ByUse",
    "backreferences_dir": "generated/examples",  # for the lists at the end of API pages
    "doc_module": ("skflow",),
    "reference_url": {"skflow": None},
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "default_thumb_file": None,
    "min_reported_time": 0,
    "write_computation_times": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_signature": False,
}
warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*")

html_theme = "pydata_sphinx_theme"
html_title = "skflow"
html_static_path = ["_static"]
html_css_files = ["skflow.css"]
html_logo = html_favicon = "_static/logo.svg"
html_math_renderer = "mathml"
html_sidebars = {
    page: []
    for page in (
        "index",
        "quickstart",
        "which_estimator",
        "reproduction",
        "theory",
        "faq",
        "glossary",
        "changelog",
    )
}
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "logo": {"text": "skflow", "alt_text": "skflow, home"},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,  # one line; the others are under "More"
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
}


def render_math(as_block):
    """Formulas as MathML, which browsers show without a script from elsewhere."""

    def visit(self, node):
        mathml = tex2mathml(node.astext(), as_block=as_block)
        self.body.append(f'<div class="formula">{mathml}</div>' if as_block else mathml)
        raise nodes.SkipNode

    return visit, None


def strip_blocks(app, doctree):
    """Take away the empty line at the end of a code block, which only doctest needs."""
    for block in doctree.findall(nodes.literal_block):
        if block.rawsource == block.astext():  # no markup inside
            block.rawsource = block.astext().rstrip()
            block[:] = [nodes.Text(block.rawsource)]


def draw(app):
    """Pictures of what is in the repository: the modules, and the tables of the benchmarks."""
    static = Path(__file__).parent / "_static"
    (static / "rooms.svg").write_text(draw_rooms.draw(), "utf-8")
    draw_benchmarks.draw(static)


def where_defined(app, module, name):
    """The module with the source of a class, for links to it: public ones are renamed."""
    start = re.compile(rf"^class {name.split('.')[0]}\b", re.MULTILINE)
    for path in Path(skflow.__file__).parent.rglob("*.py"):
        if start.search(path.read_text(encoding="utf-8")):
            parts = (
                path.relative_to(Path(skflow.__file__).parents[1]).with_suffix("").parts
            )
            return ".".join(parts)
    return None


def setup(app):
    app.connect("viewcode-follow-imported", where_defined)
    app.connect("builder-inited", draw)
    app.connect("doctree-read", strip_blocks)
    app.add_html_math_renderer("mathml", render_math(False), render_math(True))
