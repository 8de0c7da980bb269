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
    "_conformal",
    "_reasons",
    "_resolutions",
    "_flow_stacks",
    "_flow_regressor",
    "_distribution_regressor",
    "_conditional_fitting",
    "_structure_search",
    "_flow_density",
    "_base",
    "_inference",
    "_fitting",
    "_summary",
    "_member_masks",
    "_recipe",
    "_saving",
    "_stacking",
    "_conditional",
    "_density",
    "_columns",
    "_components",
    "_ellipses",
    "_factor_model",
    "_candidates",
    "_training",
    "_training_data",
    "_optimizers",
    "_flow",
    "_couplings",
    "_conditioners",
    "_runtime",
    "_registry",
    "_blocks",
    "masks",
    "_search_layout",
    "_journal",
    "_search",
    "_layouts",
    "_layout",
    "_derived",
    "_structures",
    "_streams",
    "datasets",
    "metrics",
    "_uci",
    "inspection",
]
HARMLESS = {
    *("__future__", "collections", "dataclasses", "math", "numbers", "os", "time", "typing"),
    *("typing_extensions", "_typing"),
}  # of the standard library, and for type checkers
OPTIONAL = {"matplotlib", "pandas", "tqdm"}
# Dotted names below the package; a subpackage itself goes by its own.
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
MODULES = sorted(FILES)


def parse(name):
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def home(name, level):
    """Where a relative import of a module starts, as the parts of a dotted name."""
    parts = name.split(".")
    if FILES[name].name == "__init__.py" and name != "__init__":
        parts.append("__init__")
    assert level <= len(parts), f"{name} imports from outside the package"
    return parts[: len(parts) - level]


def imports(statements, name):
    """Names of the package's modules, and of other packages, that the statements import."""
    own, others = set(), set()
    for node in statements:
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            start = home(name, node.level)
            parts = [node.module] if node.module else [alias.name for alias in node.names]
            own |= {".".join([*start, part]) for part in parts}
    assert "skflow" not in others, f"{name} imports skflow by its name instead of relatively"
    return own, others


def test_imports_run_downward():
    graph = {}
    for name in MODULES:
        graph[name], _ = imports(ast.walk(parse(name)), name)
    reached = {}  # directly or through others; static_order raises CycleError for a circle
    for name in TopologicalSorter(graph).static_order():
        below = graph[name]
        reached[name] = below.union(*(reached[other] for other in below)) & set(MODULES)
    for name in set(ORDER) & set(MODULES):
        upward = [other for other in ORDER[: ORDER.index(name) + 1] if other in reached[name]]
        assert not upward, f"{name} imports upward: {upward}"


@pytest.mark.parametrize("name", MODULES)
def test_optional_packages_are_imported_lazily(name):
    _, others = imports(parse(name).body, name)
    assert not others & OPTIONAL


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("_search", {"numpy", "_structures"}),
        ("masks", {"_layout", "_layouts", "_search", "_search_layout", "_structures"}),
        (
            "_search_layout",
            {"numpy", "os", "sklearn", "_journal", "_layout", "_layouts", "_search", "_structures"},
        ),
        ("_journal", {"numpy", "base64", "hashlib", "json", "pathlib", "_search"}),
        ("_layouts", {"numpy", "sklearn", "_derived", "_layout", "_structures"}),
        ("_layout", {"numpy", "sklearn"}),
        ("_structures", {"numpy", "sklearn"}),
        ("_derived", {"numpy", "sklearn", "math", "itertools"}),
    ],
)
def test_numpy_is_enough_for_masks_and_their_search(name, allowed):
    own, others = imports(ast.walk(parse(name)), name)
    assert own | others <= allowed | HARMLESS


def test_displays_know_nothing_of_the_package():
    """They draw what has the attributes, so that they can be used with any estimator."""
    for name in MODULES:
        if name.split(".")[0] == "inspection":
            own, _ = imports(ast.walk(parse(name)), name)
            assert all(other.startswith("inspection.") or other == "_typing" for other in own)
