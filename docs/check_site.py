"""Check a built site: links inside it, alternative texts, and the width of code.

    python docs/check_site.py docs/_build/html

A link has to lead to a file of the site and, with a ``#``, to a place on that page; an image has to
say what it shows; a line of code, of 88 columns at most, has to fit. Prints what is wrong.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

WIDEST = 88
#: Pages that show the package's own source.
SOURCE = "_modules"


class Page(HTMLParser):
    """The links, places, images and code lines of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places, self.unnamed, self.code = [], {""}, [], []
        self._classes, self._depth = [], None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.places.update(given[key] for key in ("id", "name") if given.get(key))
        self.links += [given[key] for key in ("href", "src") if given.get(key)]
        if tag == "img" and "alt" not in given:
            self.unnamed.append(given.get("src"))
        if tag == "div":
            self._classes.append(given.get("class") or "")
        if tag == "pre" and self._is_code():
            self.code.append("")

    def handle_endtag(self, tag):
        if tag == "div" and self._classes:
            self._classes.pop()

    def handle_data(self, data):
        if self.code and self._is_code():
            self.code[-1] += data

    def _is_code(self):
        languages = (
            "highlight-python",
            "highlight-Python",
            "highlight-pycon",
            "highlight-default",
        )
        return any(
            name in classes for classes in self._classes[-3:] for name in languages
        )


def problems(site):
    """Sentences on all that is wrong, page by page."""
    site = site.resolve()
    paths = [
        path for path in sorted(site.rglob("*.html")) if path.parent.name != "_static"
    ]
    pages = {path: Page(path) for path in paths}
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                (path.parent / unquote(parts.path)).resolve() if parts.path else path
            )
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                yield f"{name}: no file for {link}"
            elif (
                target in pages and unquote(parts.fragment) not in pages[target].places
            ):
                yield f"{name}: no such place: {link}"
        for image in page.unnamed:
            yield f"{name}: an image without a text: {image}"
        if name.parts[0] != SOURCE:
            for line in "".join(page.code).splitlines():
                if len(line) > WIDEST:
                    yield f"{name}: {len(line)} columns of code: {line}"


if __name__ == "__main__":
    found = list(dict.fromkeys(problems(Path(sys.argv[1]))))
    print(*found, sep="\n")
    print(f"{len(found)} problems in {sys.argv[1]}")
    sys.exit(bool(found))
