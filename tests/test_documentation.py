"""The tools that build and check the documentation."""

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
    for name in ("check_site", "make_inventories", "draw_benchmarks"):
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


@pytest.mark.parametrize("chart", ["likelihood", "outliers", "speed", "search"])
def test_benchmarks_are_drawn_from_their_tables(chart):
    pytest.importorskip("matplotlib")
    import draw_benchmarks

    figure = getattr(draw_benchmarks, chart)()
    drawn = [axis for axis in figure.axes if axis.patches or axis.collections or axis.images]
    assert drawn
