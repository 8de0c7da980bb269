"""Imports run downward only, and optional packages are imported where they are needed."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skflow

PACKAGE = Path(skflow.__file__).parent
# A module may import those below it. Small modules that are not named may lie anywhere between.
ORDER = [
    "__init__",
    "_outlier",
    "_structure_search",
    "_coupling",
    "_base",
    "_density",
    "_tails",
    "_search",
    "_training",
    "_flow",
    "_transforms",
    "_conditioners",
    "masks",
    "_derived",
    "datasets",
    "inspection",
]
OPTIONAL = {"matplotlib", "pandas", "tqdm"}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imports(statements, name):
    """Names of the package's modules, and of other packages, that the statements import."""
    own, others = set(), set()
    for node in statements:
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{name} imports from outside the package"
            own |= {node.module} if node.module else {alias.name for alias in node.names}
    assert "skflow" not in others, f"{name} imports skflow by its name instead of relatively"
    return own, others


def test_imports_run_downward():
    graph = {}
    for name in MODULES:
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        graph[name], _ = imports(ast.walk(tree), name)
    reached = {}  # directly or through others; static_order raises CycleError for a circle
    for name in TopologicalSorter(graph).static_order():
        below = graph[name]
        reached[name] = below.union(*(reached[other] for other in below)) & set(MODULES)
    for name in set(ORDER) & set(MODULES):
        upward = [other for other in ORDER[: ORDER.index(name) + 1] if other in reached[name]]
        assert not upward, f"{name} imports upward: {upward}"


@pytest.mark.parametrize("name", MODULES)
def test_optional_packages_are_imported_lazily(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    _, others = imports(tree.body, name)
    assert not others & OPTIONAL


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("_search", {"numpy", "masks"}),
        ("masks", {"numpy", "sklearn", "_derived"}),
        ("_derived", {"numpy", "sklearn", "math", "itertools"}),
    ],
)
def test_numpy_is_enough_for_masks_and_their_search(name, allowed):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    own, others = imports(ast.walk(tree), name)
    assert own | others <= allowed | {"dataclasses", "numbers", "typing"}
