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
STYLE = """
rect { fill: #eef4fa; stroke: #0072b2; rx: 5 }
rect.public { fill: #fdf3e3; stroke: #e69f00 }
text { font: 13px sans-serif; fill: #222222; text-anchor: middle; dominant-baseline: central }
path { stroke: #888888; fill: none; marker-end: url(#head) }
"""


def rooms():
    """Modules by name, with the names of those that each imports; a subpackage is one room."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room != "__init__":
            found.setdefault(room, set()).update(_imported(path))
    return {room: below & set(found) - {room} for room, below in found.items()}


def _imported(path):
    names = set()
    to_package = len(path.relative_to(PACKAGE).parts)  # dots of an import from its root
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == to_package:
            if node.module:
                names.add(node.module.split(".")[0])
            else:
                names |= {alias.name for alias in node.names}
    return names


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
    """Rooms in rows, each row above all that its rooms import."""
    height = {}
    for room in TopologicalSorter(graph).static_order():
        height[room] = 1 + max((height[below] for below in graph[room]), default=-1)
    top = max(height.values())
    return [
        sorted(room for room in graph if height[room] == level)
        for level in range(top, -1, -1)
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
    graph = rooms()
    pairs = arrows(graph)
    place = places(floors(graph), pairs)
    width = max(x for x, _ in place.values()) + WIDTH + MARGIN
    height = max(y for _, y in place.values()) + HEIGHT + MARGIN
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
    for room, (x, y) in sorted(place.items()):
        kind = "" if room.startswith("_") else ' class="public"'
        parts.append(f'<rect{kind} x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}"/>')
        parts.append(
            f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2}">{escape(room)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    (DOCS / "_static" / "rooms.svg").write_text(draw(), encoding="utf-8")
