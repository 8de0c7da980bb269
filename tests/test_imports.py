"""Imports run one way, and optional packages are imported where they are needed."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import skflow

PACKAGE = Path(skflow.__file__).parent
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
            start = home(name, node.level) + ([node.module] if node.module else [])
            named = [".".join([*start, alias.name]) for alias in node.names]
            own |= {each if each in FILES else ".".join(start) for each in named}
    assert "skflow" not in others, f"{name} imports skflow by its name instead of relatively"
    return own, others


def graph_of(names):
    """What each module imports of the package."""
    return {name: imports(ast.walk(parse(name)), name)[0] for name in names}


def room(name):
    """The folder of a module; a module beside the folders is a room of its own."""
    return name.split(".")[0]


def test_modules_import_one_way():
    in_order(graph_of(MODULES))


def test_folders_import_one_way():
    rooms = {room(name): set() for name in MODULES}
    for name, below in graph_of(MODULES).items():
        rooms[room(name)] |= {room(other) for other in below} - {room(name)}
    in_order(rooms)


def in_order(graph):
    """The nodes, each after those that it imports."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("imports run in a circle: " + " <- ".join(error.args[1]))


def test_a_circle_is_found():
    with pytest.raises(pytest.fail.Exception, match="a <- b <- a|b <- a <- b"):
        in_order({"a": {"b"}, "b": {"a"}})


@pytest.mark.parametrize("name", MODULES)
def test_optional_packages_are_imported_lazily(name):
    _, others = imports(parse(name).body, name)
    assert not others & OPTIONAL


def test_masks_and_their_search_need_no_torch():
    """Those that train candidates do: an estimator hands their evaluator to the search."""
    graph = graph_of(MODULES)
    reached, left = set(), ["masks"]
    while left:
        name = left.pop()
        _, others = imports(ast.walk(parse(name)), name)
        assert "torch" not in others, f"masks imports torch by {name}"
        reached.add(name)
        left += graph[name] - reached
    assert "_structure.search_layout" in reached


def test_displays_know_nothing_of_the_package():
    """They draw what has the attributes, so that any estimator will do; `_core` is for all."""
    for name in MODULES:
        if name.split(".")[0] == "inspection":
            own, _ = imports(ast.walk(parse(name)), name)
            assert all(other.startswith(("inspection.", "_core.")) for other in own)


def test_the_package_alone_imports_nothing_slow():
    """Public names are fetched when asked for: PyTorch and scikit-learn take seconds."""
    code = (
        "import sys, skflow; dir(skflow); print({'torch', 'sklearn', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
    assert set(skflow.__all__) <= set(dir(skflow))
    assert all(getattr(skflow, name) is not None for name in skflow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        getattr(skflow, "no_such_name")  # noqa: B009


def test_the_density_imports_no_estimators_that_it_may_not_need():
    slow = {"sklearn.cluster", "sklearn.covariance", "sklearn.ensemble", "sklearn.linear_model"}
    left, reached = ["density"], set()
    while left:
        name = left.pop()
        reached.add(name)
        statements = parse(name).body
        modules = {n.module for n in statements if isinstance(n, ast.ImportFrom) and n.level == 0}
        assert not modules & slow, f"{name} imports {modules & slow}"
        left += imports(statements, name)[0] - reached
    assert "_models.components" in reached
