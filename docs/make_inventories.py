"""Inventories by which the pages link to objects of other projects, without a network.

The build writes them (see ``conf.py``). An object is in one if a page, a docstring or an example
names it in full or imports it, and if it can be imported here. Its address follows the regular
pattern of its project's site. To see what there is:

    python docs/make_inventories.py
"""

import importlib
import inspect
import re
import zlib
from pathlib import Path

from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # IterativeImputer

HERE = Path(__file__).parent

#: Where the sites are.
SITES = {
    "sklearn": "https://scikit-learn.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "matplotlib": "https://matplotlib.org/stable/",
}
#: The page of an object on its project's site.
PAGES = {
    "sklearn": "modules/generated/{name}.html",
    "numpy": "reference/generated/{name}.html",
    "pandas": "reference/api/{name}.html",
    "scipy": "reference/generated/{name}.html",
    "matplotlib": "api/_as_gen/{name}.html",
}
#: The few whose page is elsewhere.
ELSEWHERE = {
    "numpy.random.Generator": "reference/random/generator.html",
    "numpy.random.default_rng": "reference/random/generator.html",
    "numpy.random.RandomState": "reference/random/legacy.html",
    "numpy.random.seed": "reference/random/generated/numpy.random.seed.html",
}
#: Types of parameters, which ``numpydoc_xref_aliases`` spells out.
TYPES = {
    "ndarray": "numpy.ndarray",
    "RandomState": "numpy.random.RandomState",
    "DataFrame": "pandas.DataFrame",
    "Bunch": "sklearn.utils.Bunch",
    "Axes": "matplotlib.axes.Axes",
}
SHORT = {"np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot"}


def texts():
    """The pages, the docstrings of the package, and the gallery."""
    root = HERE.parent
    pages = [
        root / "CHANGELOG.md",
        HERE / "api.rst",
        *HERE.glob("*.md"),
        *HERE.glob("[a-z]*/*.md"),
    ]
    for path in [*pages, *root.glob("examples/plot_*.py")]:
        yield path.read_text(encoding="utf-8")
    for path in (root / "skflow").rglob("*.py"):
        yield "\n".join(
            re.findall(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
        )


def names_in(text):
    """Full names that a text has or imports, as far as patterns see them."""
    projects = "|".join(SITES)
    names = set(re.findall(rf"\b(?:{projects})(?:\.\w+)+", text))
    for short, rest in re.findall(rf"\b({'|'.join(SHORT)})((?:\.\w+)+)", text):
        names.add(SHORT[short] + rest)
    imports = rf"from ((?:{projects})[\w.]*) import (\([^)]*\)|[^\n]*)"
    for module, imported in re.findall(imports, text):
        names.update(f"{module}.{name}" for name in re.findall(r"\w+", imported))
    return names


def find(name):
    """The object of this full name and what it belongs to; None and None if there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        owner = importlib.import_module(module)
    except ImportError:
        owner, _ = find(module) if "." in module else (None, None)
    return getattr(owner, attribute, None), owner


def entry(name):
    """The line of an inventory for an object, or None if it has no page."""
    found, owner = find(name)
    known = inspect.isclass(owner) or inspect.ismodule(owner)
    if not known or not callable(found) or "._" in name:
        return None
    role = "class" if inspect.isclass(found) else "function"
    page = name
    if inspect.isclass(owner):
        role = "method"
        if name.startswith("sklearn"):  # on the page of the class
            page = name.rpartition(".")[0]
    path = ELSEWHERE.get(name, PAGES[name.split(".")[0]].format(name=page))
    return f"{name} py:{role} 1 {path}#$ -"


def inventories():
    """The lines of each inventory, by project."""
    names = set(TYPES.values()).union(*map(names_in, texts()))
    lines = {project: [] for project in SITES}
    for name in sorted(names):
        line = entry(name)
        if line is not None:
            lines[name.split(".")[0]].append(line)
    return lines


def write(directory):
    """Write the files; returns ``intersphinx_mapping``."""
    directory.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, lines in inventories().items():
        head = (
            f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
            "# The remainder of this file is compressed using zlib.\n"
        )
        body = "".join(line + "\n" for line in lines)
        path = directory / f"{project}.inv"
        path.write_bytes(head.encode() + zlib.compress(body.encode()))
        mapping[project] = (SITES[project], str(path))
    return mapping


if __name__ == "__main__":
    for lines in inventories().values():
        print(*lines, sep="\n")
