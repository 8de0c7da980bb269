"""Saved estimators: plain, bit-equal, with errors instead of other scores."""

import io
import pickle
import pickletools

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge

from skflow import (
    CouplingFlowDensity,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    masks,
)
from skflow._support import saving as _saving

X = load_iris().data
QUICK = {"max_iter": 2, "hidden_layer_sizes": (8,), "random_state": 0}
ESTIMATORS = {
    "flow": CouplingFlowDensity(2, **QUICK),
    "affine ensemble": CouplingFlowDensity(
        2, coupling="affine", n_estimators=2, tail_weight=0, **QUICK
    ),
    "bounds": CouplingFlowDensity(2, bounds=(0, None), dequantize=True, **QUICK),
    "layout": CouplingFlowDensity(2, mask_layout=masks.Repeat("derived"), **QUICK),
    "search": StructureSearchFlow(
        2, n_search_iter=5, n_candidate_steps=2, candidate_start="inherit", **QUICK
    ),
    "search as a layout": CouplingFlowDensity(
        2, mask_layout=masks.EvolutionarySearch(5, n_candidate_steps=2), **QUICK
    ),
    "several resolutions": FlowOutlierDetector(random_state=0),
    "detector": FlowOutlierDetector(CouplingFlowDensity(2, **QUICK), random_state=0),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted(request):
    return ESTIMATORS[request.param].fit(X)


def through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(estimator):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(estimator)
    wanted = skops.get_untrusted_types(data=data)
    public = {"skflow.CouplingFlowDensity", "skflow.StructureSearchFlow"}
    public |= {"skflow.FlowOutlierDetector", "skflow.masks.Repeat"}
    public |= {"skflow.FlowRegressor"}
    # the trees of a kernel density and of boosting, which are those of scikit-learn
    public |= {
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.tree._tree.Tree",
    }
    public |= {"skflow.masks.EvolutionarySearch"}
    assert set(wanted) <= public
    return skops.loads(data, trusted=wanted)


WAYS = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "skops": through_skops,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_regressor_of_either_kind_comes_back_bit_equal(way):
    features, y = X[:, :3], X[:, 3]
    for options in ({}, {"mean_estimator": Ridge(), "bounds": (0, None)}):
        fitted = FlowRegressor(2, **options, **QUICK).fit(features, y)
        loaded = WAYS[way](fitted)
        np.testing.assert_array_equal(loaded.predict(features), fitted.predict(features))
        draws = [one.sample_y(features[:5], 3, random_state=0) for one in (loaded, fitted)]
        np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("way", WAYS)
def test_round_trip_is_bit_equal(fitted, way):
    loaded = WAYS[way](fitted)
    np.testing.assert_array_equal(loaded.score_samples(X), fitted.score_samples(X))
    assert _saving.checksum(loaded.__getstate__()) == _saving.checksum(fitted.__getstate__())
    if hasattr(fitted, "sample"):
        draws = [one.sample(9, random_state=0) for one in (loaded, fitted)]
        np.testing.assert_array_equal(*draws)
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


def test_warm_starts_go_on_after_loading(fitted):
    if isinstance(fitted, FlowOutlierDetector):
        pytest.skip("a detector has no warm start")
    one, other = (pickle.loads(pickle.dumps(fitted)) for _ in range(2))
    one.set_params(warm_start=True).fit(X)
    other.set_params(warm_start=True).fit(X)
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))


def test_another_format_is_a_sentence(monkeypatch):
    data = pickle.dumps(ESTIMATORS["flow"].fit(X))
    monkeypatch.setattr(_saving, "FORMAT", _saving.FORMAT + 1)
    with pytest.raises(ValueError, match=r"saved in format 1, .* reads format 2"):
        pickle.loads(data)
    with pytest.raises(ValueError, match="saved in format none"):
        CouplingFlowDensity.__new__(CouplingFlowDensity).__setstate__({"n_layers": 6})


def test_altered_bytes_never_give_other_scores():
    flow = ESTIMATORS["detector"].fit(X)
    data, expected = pickle.dumps(flow), flow.score_samples(X)
    rng = np.random.default_rng(0)
    n_errors = 0
    for place in rng.integers(len(data), size=150):
        altered = bytearray(data)
        altered[place] ^= 1 << rng.integers(8)
        try:
            loaded = pickle.loads(bytes(altered))
            scores = loaded.score_samples(X)
        except Exception:  # whatever the unpickler says
            n_errors += 1
            continue
        np.testing.assert_array_equal(scores, expected)
    assert n_errors > 100


def test_skops_refuses_what_is_not_trusted():
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(ESTIMATORS["flow"].fit(X))
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
