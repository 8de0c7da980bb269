"""What a release says of itself in several places is the same in all of them."""

import re
from pathlib import Path

import pytest

import skflow

ROOT = Path(skflow.__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="the repository is not beside it"
)


def read(name):
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_version_is_that_of_the_package():
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", skflow.__version__)
    assert read("CITATION.cff")["version"] == skflow.__version__
    assert read("docs/developer/recipe.yaml")["context"]["version"] == skflow.__version__


def test_the_citation_has_what_its_format_requires():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"] and citation["title"] and citation["authors"]
    people = [author for paper in citation["references"] for author in paper["authors"]]
    assert all({"family-names", "given-names"} <= set(person) for person in people)


def test_the_recipe_has_the_requirements_of_the_package():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    wanted.append("python" + project["project"]["requires-python"])
    wanted = {name.replace("torch", "pytorch") for name in wanted}
    recipe = read("docs/developer/recipe.yaml")["requirements"]
    listed = {name.replace(" ", "") for name in recipe["host"] + recipe["run"]}
    assert listed == wanted | {"python", "pip"}
