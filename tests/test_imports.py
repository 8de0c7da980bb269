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
    "_outliers.outlier",
    "_outliers.conformal",
    "_outliers.reasons",
    "_outliers.resolutions",
    "_outliers.flow_stacks",
    "_regression.flow_regressor",
    "_regression.distribution_regressor",
    "_regression.conditional_fitting",
    "_gaps.imputer",
    "_estimators.structure_search",
    "_estimators.flow_density",
    "_estimators.base",
    "_estimators.inference",
    "_estimators.tested",
    "_estimators.fitting",
    "_estimators.summary",
    "_structure.member_masks",
    "_estimators.recipe",
    "_estimators.saving",
    "_gaps.fitting",
    "_gaps.questions",
    "_gaps.importance",
    "_gaps.cases",
    "_gaps.proposal",
    "_kinds.parts",
    "_kinds.mixed",
    "_kinds.groups",
    "_kinds.chain",
    "_densities.stacking",
    "_kinds.frequencies",
    "_kinds.kinds",
    "_kinds.categories",
    "_regression.conditional",
    "_regression.one_target",
    "_regression.linear_guard",
    "_regression.context",
    "_densities.density",
    "_densities.columns",
    "_densities.components",
    "_densities.conditionals",
    "_densities.ellipses",
    "_densities.factor_model",
    "_structure.candidates",
    "_flows.training",
    "_flows.training_data",
    "_flows.optimizers",
    "_flows.row_maps",
    "_flows.flow",
    "_flows.layer",
    "_flows.couplings",
    "_flows.conditioners",
    "_support.runtime",
    "_support.quasi_random",
    "_support.registry",
    "_flows.blocks",
    "masks",
    "_structure.search_layout",
    "_structure.rivals",
    "_structure.journal",
    "_structure.search",
    "_structure.moves",
    "_structure.layouts",
    "_structure.triangular",
    "_structure.layout",
    "_structure.derived_order",
    "_structure.derived",
    "_structure.structures",
    "_support.streams",
    "datasets",
    "metrics",
    "_uci",
    "inspection",
]
HARMLESS = {
    *("__future__", "collections", "dataclasses", "math", "numbers", "os", "time", "typing"),
    *("typing_extensions", "_support.typing"),
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
        ("_structure.search", {"numpy", "_structure.moves"}),
        ("_structure.moves", {"numpy", "_structure.structures"}),
        ("_structure.confidence_set", {"numpy", "scipy"}),
        ("_structure.derived_order", {"numpy", "math", "_structure.derived"}),
        (
            "_structure.triangular",
            {"numpy", "_structure.derived_order", "_structure.layout", "_structure.structures"},
        ),
        (
            "_structure.rivals",
            {"numpy", "_structure.layouts", "_structure.search", "_structure.structures"},
        ),
        (
            "masks",
            {
                "_structure.confidence_set",
                "_structure.layout",
                "_structure.layouts",
                "_structure.search",
                "_structure.search_layout",
                "_structure.structures",
                "_structure.triangular",
            },
        ),
        (
            "_structure.search_layout",
            {
                "numpy",
                "os",
                "sklearn",
                "_structure.journal",
                "_structure.layout",
                "_structure.layouts",
                "_structure.moves",
                "_structure.rivals",
                "_structure.search",
                "_structure.structures",
            },
        ),
        (
            "_structure.journal",
            {
                *("numpy", "base64", "hashlib", "json", "pathlib"),
                *("_structure.search", "_structure.structures"),
            },
        ),
        (
            "_structure.layouts",
            {
                "numpy",
                "sklearn",
                "_structure.derived",
                "_structure.layout",
                "_structure.structures",
            },
        ),
        ("_structure.layout", {"numpy", "sklearn"}),
        ("_structure.structures", {"numpy", "sklearn"}),
        ("_structure.derived", {"numpy", "sklearn", "math", "itertools", "_structure.structures"}),
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
            assert all(
                other.startswith("inspection.") or other == "_support.typing" for other in own
            )
