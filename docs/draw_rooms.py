"""Draw the modules of the package and their imports, from the sources: ``_static/rooms.svg``.

    python docs/draw_rooms.py

An arrow leads from a module to one that it imports. Those that follow from others are left out:
where A imports B and B imports C, an arrow from A to C says nothing new about what lies below what.
The configuration of the documentation calls this, so that the picture is that of the sources.
"""

import ast
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "skflow"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 128, 26, 14, 40, 12
#: Fill and edge of the rooms of a folder, in the order of their names; the public ones come first.
COLOURS = (
    *("#fdf3e3 #e69f00", "#e3eef8 #0072b2", "#e2f4ee #009e73", "#f9e9f1 #cc79a7"),
    *("#fbe8de #d55e00", "#eaf5fc #56b4e9", "#fbf8d9 #b8a800", "#eeeeee #777777"),
    *("#efe8f8 #7b5ea7", "#e9efe0 #6b7f3a"),
)
STYLE = """
rect { rx: 5 }
text { font: 13px sans-serif; fill: #222222; text-anchor: middle; dominant-baseline: central }
path { stroke: #888888; fill: none; marker-end: url(#head) }
"""


def rooms():
    """Modules by dotted name, with the names of those that each imports.

    A public subpackage is one room; files that only hold modules together are none.
    """
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "__init__.py":
            found.setdefault(
                _room(path.relative_to(PACKAGE).with_suffix("").parts), set()
            )
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if _room(parts) in found:
            found[_room(parts)] |= {_room(target) for target in _imported(path, parts)}
    return {room: (below & set(found)) - {room} for room, below in found.items()}


def _room(parts):
    return ".".join(parts) if parts[0].startswith("_") else parts[0]


def _imported(path, parts):
    """Parts of what a file imports of the package."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            start = parts[: len(parts) - node.level]
            below = tuple(node.module.split(".")) if node.module else ()
            if start or below:
                yield (*start, *below)
            yield from ((*start, *below, alias.name) for alias in node.names)


def _folder(room):
    return room.split(".")[0] if "." in room else ""


def arrows(graph):
    """The imports that do not follow from others, as pairs."""
    reached = {}
    for room in TopologicalSorter(graph).static_order():
        reached[room] = graph[room].union(*(reached[below] for below in graph[room]))
    return [
        (room, below)
        for room in graph
        for below in graph[room]
        if not any(below in reached[other] for other in graph[room])
    ]


def floors(graph):
    """Rooms in rows, each below all that import its rooms."""
    level = {}
    for room in reversed(list(TopologicalSorter(graph).static_order())):
        above = [level[other] for other in graph if room in graph[other]]
        level[room] = 1 + max(above, default=-1)
    lowest = max(level.values())
    return [
        sorted(room for room in graph if level[room] == k) for k in range(lowest + 1)
    ]


def places(rows, pairs):
    """Left edge and top of every room: below the middle of those that import it."""
    widest = max(map(len, rows))
    place = {}
    for level, row in enumerate(rows):

        def wanted(room):
            above = [place[a][0] for a, b in pairs if b == room and a in place]
            return sum(above) / len(above) if above else widest / 2

        row = sorted(row, key=wanted)
        start = (widest - len(row)) / 2
        for i, room in enumerate(row):
            place[room] = (start + i, level)
    return {
        room: (MARGIN + x * (WIDTH + GAP_X), MARGIN + y * (HEIGHT + GAP_Y))
        for room, (x, y) in place.items()
    }


def draw():
    """The picture as text."""
    everywhere = "_core"  # any room may use what is there
    graph = {
        room: below for room, below in rooms().items() if _folder(room) != everywhere
    }
    graph = {room: below & set(graph) for room, below in graph.items()}
    pairs = arrows(graph)
    place = places(floors(graph), pairs)
    width = max(x for x, _ in place.values()) + WIDTH + MARGIN
    lowest = max(y for _, y in place.values()) + HEIGHT
    height = lowest + GAP_Y + HEIGHT + MARGIN  # the folders stand below
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}">',
        f"<title>Modules of skflow and their imports</title><style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0L8,4L0,8" style="fill:#888888;stroke:none;'
        'marker-end:none"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" style="fill:#ffffff;stroke:none"/>',
    ]
    for room, below in sorted(pairs):
        (x0, y0), (x1, y1) = place[room], place[below]
        x0, x1, y0 = x0 + WIDTH / 2, x1 + WIDTH / 2, y0 + HEIGHT
        bend = (y1 - y0) / 2
        parts.append(
            f'<path d="M{x0},{y0}C{x0},{y0 + bend} {x1},{y1 - bend} {x1},{y1}"/>'
        )
    colours = dict(zip(sorted({_folder(room) for room in graph}), COLOURS))
    for room, (x, y) in sorted(place.items()):
        fill, edge = colours[_folder(room)].split()
        parts.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="{fill}" '
            f'stroke="{edge}"><title>{escape(room)}</title></rect>'
        )
        label = escape(room.split(".")[-1])
        parts.append(f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2}">{label}</text>')
    for i, (folder, colour) in enumerate(colours.items()):
        fill, edge = colour.split()
        x, y = MARGIN + i * (WIDTH + GAP_X), lowest + GAP_Y
        parts.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="{fill}" '
            f'stroke="{edge}"/>'
        )
        label = folder or "public"
        parts.append(f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2}">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    (DOCS / "_static" / "rooms.svg").write_text(draw(), encoding="utf-8")
