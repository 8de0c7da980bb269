"""The directive ``drawn``: the figures of a page's own code.

    ```{drawn}
    :alt: What can be seen.
    ```

It runs the examples of the page up to this place and shows the figures that are open then. So a
picture is that of the code above it. Like those of the gallery, pictures are kept until that code
changes (under ``_build/pictures``; delete them to have them drawn anew), and a build without the
gallery (``-D plot_gallery=0``) draws none, unless ``-D plot_pages=1``.
"""

import doctest
import hashlib
import warnings
from contextlib import redirect_stdout
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives

DOCS = Path(__file__).resolve().parent
PICTURES = DOCS / "_build" / "pictures"


class Drawn(Directive):
    option_spec = {"alt": directives.unchanged_required}

    def run(self):
        env = self.state.document.settings.env
        page = Path(env.doc2path(env.docname))
        lines = page.read_text(encoding="utf-8").splitlines()
        fence = [i for i, line in enumerate(lines) if line.startswith("```{drawn}")]
        done = env.temp_data.setdefault(
            "drawn", {"count": 0, "names": {}, "examples": 0}
        )
        here = fence[done["count"]]
        done["count"] += 1
        examples = examples_in(lines[:here])
        before = (
            len(examples_in(lines[: fence[done["count"] - 2]]))
            if done["count"] > 1
            else 0
        )
        code = "".join(example.source for example in examples)
        key = hashlib.sha256(code.encode()).hexdigest()[:16]
        name = env.docname.replace("/", "-")
        paths = sorted(PICTURES.glob(f"{name}-{done['count']}-{key}-*.png"))
        if not paths and drawing_is_wanted(env.config):
            figures = run(examples, before, done)
            PICTURES.mkdir(parents=True, exist_ok=True)
            for old in PICTURES.glob(f"{name}-{done['count']}-*.png"):
                old.unlink()
            for i, figure in enumerate(figures):
                paths.append(PICTURES / f"{name}-{done['count']}-{key}-{i}.png")
                figure.savefig(paths[-1], dpi=110)
        return [self.image(path) for path in paths]

    def image(self, path):
        uri = "/" + path.relative_to(DOCS).as_posix()
        return nodes.image(uri=uri, alt=self.options["alt"], classes=["drawn"])


def drawing_is_wanted(config):
    wanted = config.plot_gallery if config.plot_pages is None else config.plot_pages
    return wanted not in (False, "0", "False")


def examples_in(lines):
    return doctest.DocTestParser().get_examples("\n".join(lines) + "\n")


def run(examples, before, done):
    """Run the examples that were not run yet; the figures that the last ones leave open.

    The first ones, so many as were ``before`` the last picture, have had theirs.
    """
    import matplotlib.pyplot as plt

    with warnings.catch_warnings(), redirect_stdout(None):
        warnings.filterwarnings(
            "ignore", message=".*FigureCanvasAgg is non-interactive.*"
        )
        for i, example in enumerate(examples):
            if i == before:
                plt.close("all")
            if i >= done["examples"] and example.exc_msg is None:
                exec(example.source, done["names"])
    done["examples"] = len(examples)
    return [plt.figure(number) for number in plt.get_fignums()]


def setup(app):
    app.add_directive("drawn", Drawn)
    app.add_config_value("plot_pages", None, "env")
    return {"parallel_read_safe": False}
