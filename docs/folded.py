"""The directive ``folded``: a file of results, each of its sections closed until a reader opens it.

    ```{folded} examples/benchmarks/likelihood_results.md
    :open: bits per dimension
    ```

The file, named from the root of the repository, is Markdown that a benchmark writes. What stands
before its first heading comes first; a section whose heading is named by ``open`` (in lower case,
several with ``;``) starts open.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList


class Folded(Directive):
    required_arguments = 1
    option_spec = {"open": directives.unchanged, "title": directives.unchanged}

    def run(self):
        env = self.state.document.settings.env
        path = Path(env.srcdir).parent / self.arguments[0]
        env.note_dependency(str(path))
        opened = [name.strip() for name in self.options.get("open", "").split(";")]
        text = path.read_text(encoding="utf-8")
        start, *rest = re.split(r"^#+ (.*)$", text, flags=re.M)
        sections = list(zip(rest[::2], rest[1::2]))
        if not sections:
            sections, start = [(self.options.get("title", "All figures"), start)], ""
        lines = ["About these tables", start] if start.strip() else []
        source = [_dropdown(lines[0], lines[1], False)] if lines else []
        source += [
            _dropdown(name, text, name.lower() in opened) for name, text in sections
        ]
        node = nodes.container()
        block = StringList("\n".join(source).splitlines(), source=str(path))
        self.state.nested_parse(block, 0, node)
        return node.children


def _dropdown(title, text, opened):
    option = ":open:\n" if opened else ""
    return f"::::{{dropdown}} {title}\n{option}\n{text.strip()}\n::::\n"


def setup(app):
    app.add_directive("folded", Folded)
    return {"parallel_read_safe": True}
