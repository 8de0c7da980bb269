"""The tools that build and check the documentation."""

import ast
import doctest
import importlib.util
import re
import sys
from pathlib import Path

import pytest

import skflow

DOCS = Path(skflow.__file__).resolve().parents[1] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not beside it")


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    yield
    for name in ("check_site", "make_inventories", "draw_benchmarks", "refresh"):
        sys.modules.pop(name, None)


def test_what_is_wrong_with_a_site(tmp_path):
    from check_site import problems

    (tmp_path / "other.html").write_text('<h1 id="here">x</h1>')
    code = f'<div class="highlight-pycon"><pre>{"x" * 88}\n{"x" * 89}</pre></div>'
    links = ["other.html#here", "other.html#there", "none.html", "https://else.where/x"]
    page = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "page.html").write_text(f'{page}{code}<img src="other.html">')
    assert list(problems(tmp_path)) == [
        "page.html: no such place: other.html#there",
        "page.html: no file for none.html",
        "page.html: an image without a text: other.html",
        f"page.html: 89 columns of code: {'x' * 89}",
    ]


@pytest.mark.parametrize(
    "name, role, page",
    [
        ("sklearn.mixture.GaussianMixture", "class", "modules/generated/"),
        ("sklearn.mixture.GaussianMixture.fit", "method", "modules/generated/"),
        ("numpy.linspace", "function", "reference/generated/"),
        ("pandas.DataFrame", "class", "reference/api/"),
        ("numpy.random.RandomState", "class", "reference/random/legacy.html"),
    ],
)
def test_an_object_of_another_project_has_an_address(name, role, page):
    from make_inventories import entry

    line = entry(name)
    assert line.startswith(f"{name} py:{role} 1 {page}") and line.endswith("#$ -")


@pytest.mark.parametrize("name", ["numpy.nothing", "numpy.pi", "sklearn.no.such", "numpy._core.x"])
def test_what_has_no_page_is_left_out(name):
    from make_inventories import entry

    assert entry(name) is None


def test_names_are_found_where_they_are_used():
    from make_inventories import names_in

    text = "from sklearn.svm import (\n    SVC,\n    SVR,\n)\nnp.linspace(0, 1)  # pandas.Series"
    assert names_in(text) >= {
        "sklearn.svm.SVC",
        "sklearn.svm.SVR",
        "numpy.linspace",
        "pandas.Series",
    }


def test_scripts_import_what_their_neighbours_have():
    for path in DOCS.parent.glob("examples/*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module.startswith("_"):
                continue
            folders = path.parent, path.parents[1] / "benchmarks"
            sources = [folder / f"{node.module}.py" for folder in folders]
            found = [source.read_text("utf-8") for source in sources if source.exists()]
            assert found and all(alias.name in found[0] for alias in node.names), path


@pytest.mark.parametrize(
    "chart",
    ["likelihood", "outliers", "regression", "mixed", "missing_values", "speed", "search", "large"],
)
def test_benchmarks_are_drawn_from_their_tables(chart):
    pytest.importorskip("matplotlib")
    import draw_benchmarks

    figure = getattr(draw_benchmarks, chart)()
    drawn = [axis for axis in figure.axes if axis.has_data()]
    assert drawn


def test_a_page_is_refreshed_with_what_its_code_prints():
    from refresh import refreshed

    page = "Words\n\n>>> x = 2\n>>> print(x)\n1\n>>> print(x, 0.5)\n2 ...\n\nWords\n"
    new = page.replace("\n1\n", "\n2\n")
    assert refreshed(page) == new
    assert refreshed(page, full=True) == new.replace("2 ...", "2 0.5")


@pytest.mark.parametrize(
    "want, got, agree",
    [
        ("mean 1.50 of 3 rows", "mean 1.55 of 3 rows", True),
        ("mean 1.50 of 3 rows", "mean 3.50 of 3 rows", False),
        ("mean 1.50 of 3 rows", "mean 1.50 of 4 rows", False),
        ("mean 1.50 of 3 rows", "median 1.50 of 3 rows", False),
        ("mean ... of 3 rows", "mean 9.50 of 3 rows", True),
        ("[[ 4.1,  8.3]]", "[[ 4.2, 10.1]]", False),
        ("[[ 4.1,  9.3]]", "[[ 4.2, 10.1]]", True),
    ],
)
def test_decimal_numbers_of_a_page_may_be_somewhat_off(want, got, agree):
    spec = importlib.util.spec_from_file_location("conftest", DOCS.parent / "conftest.py")
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    checker = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert conftest.check_roughly(checker, want + "\n", got + "\n", flags) == agree


def test_the_architecture_names_what_exists():
    """Modules as ``_folder.module``, and in the table of rooms those of a row's folder."""
    package = Path(skflow.__file__).parent
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(_\w+(?:\.\w+)+)`", text))
    for folder, holds in re.findall(r"^\| `(_\w+)` \| (.*) \|$", text, flags=re.M):
        named |= {f"{folder}.{name}" for name in re.findall(r"`(\w+)`", holds)}
    absent = {
        name
        for name in named
        if not package.joinpath(*name.split(".")).with_suffix(".py").is_file()
    }
    assert named and not absent


def test_lists_of_test_files_name_files_that_exist():
    tests = Path(__file__).parent
    lists = [tests / "conftest.py", tests.parent / "conftest.py"]
    named = re.findall(r'"(test_\w+)(?:\.py)?"', "".join(path.read_text() for path in lists))
    assert named
    assert [name for name in named if not (tests / f"{name}.py").is_file()] == []


def test_a_chart_without_numbers_is_refused():
    import draw_benchmarks
    import pandas as pd

    cells = pd.DataFrame({"a": ["**7.2** (6.6 to 8)", "2.75 ± 0.02"], "b": ["-", "3"]})
    found = draw_benchmarks.numbers(cells)
    assert found["a"].tolist() == [7.2, 2.75] and found["b"][1] == 3
    with pytest.raises(ValueError, match="no numbers"):
        draw_benchmarks.numbers(cells.iloc[:1, 1:])
