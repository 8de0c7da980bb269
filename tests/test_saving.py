"""Saved estimators: plain, bit-equal, with errors instead of other scores."""

import ast
import contextlib
import functools
import io
import pickle
import pickletools
import re
import subprocess
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import all_estimators

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
    masks,
)
from skflow._core import saving as _saving

X = load_iris().data
SMALL = {"max_iter": 2, "hidden_layer_sizes": (8,), "random_state": 0}
QUICK = {**SMALL, "component_weight": 0}
ESTIMATORS = {
    "flow": CouplingFlowDensity(2, **SMALL),
    "affine ensemble": CouplingFlowDensity(2, coupling="affine", n_estimators=2, **QUICK),
    "bounds": CouplingFlowDensity(2, bounds=(0, None), dequantize=True, **QUICK),
    "layout": CouplingFlowDensity(2, mask_layout=masks.Repeat("derived"), **QUICK),
    "search": StructureSearchFlow(2, n_search_iter=5, n_candidate_steps=2, **QUICK),
    "search as a layout": CouplingFlowDensity(
        2, mask_layout=masks.EvolutionarySearch(5, n_candidate_steps=2), **QUICK
    ),
    "several scorers": FlowOutlierDetector(random_state=0),
    "detector": FlowOutlierDetector(CouplingFlowDensity(2, **QUICK), random_state=0),
    "regressor": FlowRegressor(2, n_estimators=2, **SMALL),
    "regressor without": FlowRegressor(2, n_estimators=2, mean_estimator=None, **SMALL),
    "regressor, linear": FlowRegressor(
        2, n_estimators=2, mean_estimator=Ridge(), bounds=(0, None), **SMALL
    ),
    "imputer": FlowImputer(CouplingFlowDensity(2, **SMALL), random_state=0),
}
#: One of each class, with all that it may hold.
EACH = ["flow", "search", "several scorers", "regressor", "imputer"]
INCOMPLETE = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
WARM = [name for name, one in ESTIMATORS.items() if hasattr(one, "warm_start")]


@functools.cache
def fitted_of(name):
    estimator = ESTIMATORS[name]
    if isinstance(estimator, FlowRegressor):
        return estimator.fit(X[:, :3], X[:, 3])
    return estimator.fit(INCOMPLETE if isinstance(estimator, FlowImputer) else X)


def answers_of(fitted):
    if isinstance(fitted, FlowRegressor):
        return fitted.predict(X[:, :3]), fitted.sample_y(X[:5, :3], 3, random_state=0)
    if isinstance(fitted, FlowImputer):
        return (fitted.transform(INCOMPLETE[:20]),)
    drawn = fitted.sample(9, random_state=0) if hasattr(fitted, "sample") else 0
    return fitted.score_samples(X[:20]), drawn


@pytest.fixture(params=ESTIMATORS)
def fitted(request):
    return fitted_of(request.param)


def through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def documented_types():
    """The types to trust, as the page lists them."""
    page = Path(__file__).parents[1] / "docs" / "user_guide" / "persistence.md"
    (block,) = re.findall(r">>> trusted = (\[.*?\n\.\.\. \])", page.read_text(), re.DOTALL)
    return set(ast.literal_eval(block.replace("... ", "")))


def through_skops(estimator):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(estimator)
    wanted = skops.get_untrusted_types(data=data)
    layouts = {"skflow.masks.Repeat", "skflow.masks.EvolutionarySearch"}
    assert set(wanted) <= documented_types() | layouts
    return skops.loads(data, trusted=wanted)


WAYS = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "skops": through_skops,
}


@pytest.mark.parametrize("way", WAYS)
def test_round_trip_is_bit_equal(fitted, way):
    loaded = WAYS[way](fitted)
    for one, other in zip(answers_of(loaded), answers_of(fitted)):
        np.testing.assert_array_equal(one, other)
    assert _saving.checksum(loaded.__getstate__()) == _saving.checksum(fitted.__getstate__())
    if hasattr(fitted, "search_history_"):
        assert type(loaded.search_history_[0]) is masks.SearchRecord
        assert len(loaded.search_history_) == 6


def test_no_private_name_of_the_package_is_in_a_file(fitted):
    named, strings = set(), []
    for opcode, argument, _ in pickletools.genops(pickle.dumps(fitted)):
        if opcode.name == "STACK_GLOBAL":
            named.add(tuple(strings[-2:]))
        if isinstance(argument, str):
            strings.append(argument)
    modules = {module for module, _ in named if module.startswith("skflow")}
    assert modules <= {"skflow", "skflow.masks"}


@pytest.mark.parametrize("name", WARM)
def test_warm_starts_go_on_after_loading(name):
    one, other = (pickle.loads(pickle.dumps(fitted_of(name))) for _ in range(2))
    one.set_params(warm_start=True).fit(X)
    other.set_params(warm_start=True).fit(X)
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))


def test_another_format_is_a_sentence(monkeypatch):
    data = pickle.dumps(fitted_of("flow"))
    monkeypatch.setattr(_saving, "FORMAT", _saving.FORMAT + 1)
    with pytest.raises(ValueError, match=r"saved in format 5, .* reads format 6"):
        pickle.loads(data)
    with pytest.raises(ValueError, match="saved in format none"):
        CouplingFlowDensity.__new__(CouplingFlowDensity).__setstate__({"n_layers": 6})


@pytest.mark.parametrize("name", EACH)
def test_every_number_in_a_state_is_checked(name):
    """Of each array, of each number and of each string one is altered, wherever it is."""
    fitted = fitted_of(name)
    state = fitted.__getstate__()
    found = list(leaves(state))
    rng = np.random.default_rng(0)
    for i in rng.permutation(len(found))[:40]:
        holder, key = found[i]
        kept, value = holder[key], altered_value(holder[key])
        if value is None:
            continue
        holder[key] = value
        with pytest.raises(ValueError, match=r"is not what was saved|was saved in format"):
            type(fitted).__new__(type(fitted)).__setstate__(state)
        holder[key] = kept


def leaves(plain):
    """Where the values are that hold no other: the dictionary or list, and the key in it."""
    for key in plain if isinstance(plain, dict) else range(len(plain)):
        if isinstance(plain[key], dict | list):
            yield from leaves(plain[key])
        else:
            yield plain, key


def altered_value(value):
    """Another value of the same type, None if there is none."""
    if isinstance(value, np.ndarray) and value.size:
        bytes_ = bytearray(value.tobytes())
        first = bytes_[0]
        bytes_[0] = first ^ 1
        return np.frombuffer(bytes(bytes_), value.dtype).reshape(value.shape)
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, str):
        return value + "?"
    return value + 1 if isinstance(value, int | float) and np.isfinite(value) else None


@pytest.mark.parametrize("name", EACH)
def test_a_damaged_file_builds_nothing(name, monkeypatch):
    """The checksum is compared first, as scikit-learn's trees follow any number in a file."""
    fitted = fitted_of(name)
    state = fitted.__getstate__() | {"n_features_in_": 99}
    monkeypatch.setattr(_saving, "from_plain", None)
    with pytest.raises(ValueError, match="is not what was saved"):
        type(fitted).__new__(type(fitted)).__setstate__(state)
    whole = [(name, type(value)) for name, value in walk(state) if is_compiled(value)]
    assert whole == []


def walk(plain, path=""):
    """All that is in a plain state, each with its place."""
    yield path, plain
    if isinstance(plain, dict | list | tuple):
        items = plain.items() if isinstance(plain, dict) else enumerate(plain)
        for key, item in items:
            yield from walk(item, f"{path}.{key}")


def is_compiled(value):
    """Whether it is an object of compiled code, with something in it."""
    module = type(value).__module__
    reduced = value.__reduce_ex__(4) if module.startswith("sklearn.") else ("", ())
    return not hasattr(value, "__dict__") and any(reduced[1:])


def test_a_list_that_holds_itself_is_a_sentence():
    state = fitted_of("flow").__getstate__()
    state["hidden_layer_sizes"] = cycle = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="is not what was saved"):
        CouplingFlowDensity.__new__(CouplingFlowDensity).__setstate__(state)
    with pytest.raises(ValueError, match="saved in format none"):
        CouplingFlowDensity.__new__(CouplingFlowDensity).__setstate__(None)


def test_only_what_scikit_learn_has_is_built():
    """A class in a file, with arguments for it, is no way to call what it likes."""
    calls = {"new": False, "args": ["true"], "state": None, "items": [], "pairs": []}
    for cls in (subprocess.Popen, str, np.ndarray):
        with pytest.raises(ValueError, match=rf"wants a .*{cls.__name__}, but only estimators"):
            _saving.from_plain({"__kind__": "object", "class": cls, **calls})


def test_what_holds_itself_is_a_sentence():
    ridge = Ridge()
    ridge.itself_ = [ridge]
    with pytest.raises(TypeError, match="Ridge cannot be saved, as it holds itself"):
        _saving.to_plain(ridge)


def test_what_occurs_twice_is_one_object():
    state = np.random.RandomState(0)
    scaler = StandardScaler().fit(X)
    one, other, *states = _saving.from_plain(_saving.to_plain([scaler, scaler, state, state]))
    assert one is other and states[0] is states[1]


def embedded():
    """The regressors of scikit-learn, and some that hold others."""
    several = [("ridge", Ridge()), ("tree", DecisionTreeRegressor(max_depth=2))]
    found = [
        VotingRegressor(several),
        StackingRegressor(several, cv=2),
        MultiOutputRegressor(Ridge()),
        RegressorChain(Ridge()),
        GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2),
        make_pipeline(StandardScaler(), KNeighborsRegressor(algorithm="ball_tree")),
    ]
    for _, cls in all_estimators("regressor"):
        with contextlib.suppress(TypeError, FutureWarning):  # needs others, as those above
            found.append(cls())
    return found


def takes_many_targets(estimator):
    return any(part in type(estimator).__name__ for part in ("Multi", "Chain", "CCA", "Canonical"))


@pytest.mark.parametrize("estimator", embedded(), ids=lambda one: type(one).__name__)
def test_estimators_of_scikit_learn_come_back(estimator):
    rows, y = X[:60, : 1 if isinstance(estimator, IsotonicRegression) else 3], X[:60, 3]
    y = np.abs(y) + 0.1 if not takes_many_targets(estimator) else np.c_[y, y]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows, y)
        expected = estimator.predict(rows)
    plain = _saving.to_plain(estimator)
    again = pickle.loads(pickle.dumps(plain))
    assert _saving.checksum(again) == _saving.checksum(plain)
    loaded = _saving.from_plain(again)
    np.testing.assert_array_equal(loaded.predict(rows), expected)
    assert not [value for _, value in walk(plain) if is_compiled(value)]


def test_the_documented_types_are_what_the_estimators_want():
    skops = pytest.importorskip("skops.io")
    wanted = set()
    for name in EACH:
        wanted |= set(skops.get_untrusted_types(data=skops.dumps(fitted_of(name))))
    # beyond 1000 rows the mean is of other trees
    rows = np.random.RandomState(0).standard_normal((1300, 2))
    long = FlowRegressor(1, n_estimators=2, max_iter=0.1, training=Training())
    wanted |= set(skops.get_untrusted_types(data=skops.dumps(long.fit(rows[:, :1], rows[:, 1]))))
    assert wanted == documented_types()


def test_skops_refuses_what_is_not_trusted():
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(fitted_of("flow"))
    with pytest.raises(Exception, match=r"skflow\.CouplingFlowDensity"):
        skops.loads(data)
    function = CouplingFlowDensity(2, mask_layout=_halves, **QUICK).fit(X)
    with pytest.raises(Exception, match="_halves"):
        skops.loads(skops.dumps(function), trusted=["skflow.CouplingFlowDensity"])


def _halves(n_layers, n_features, random_state):
    return masks.alternating([True, True, False, False], n_layers)


def test_what_has_no_label_is_not_saved():
    class Private:
        pass

    Private.__module__ = "skflow._somewhere"
    with pytest.raises(TypeError, match="Private cannot be saved"):
        _saving.to_plain({"key": [Private()]})
