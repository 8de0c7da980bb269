"""Scikit-learn's own checks, those of ``check_estimator`` and those that it leaves out."""

import doctest
import inspect
import re

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import skflow
from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
    Training,
    datasets,
    inspection,
    masks,
    metrics,
)

FAST = {"n_layers": 2, "max_iter": 3, "component_weight": 0}
SMALL = CouplingFlowDensity(hidden_layer_sizes=(4,), **FAST)
SEARCH = StructureSearchFlow(  # the conditioner and the training of Gonsior et al. (2021)
    n_search_iter=3,
    n_candidate_steps=2,
    coupling="affine",
    hidden_layer_sizes=(),
    training=Training(solver="sgd", learning_rate="cyclic"),
    early_stopping=False,
    **FAST,
)
ESTIMATORS = {
    "density": CouplingFlowDensity(
        n_bins=4, training=Training(n_init=2), **{**FAST, "component_weight": 0.1}
    ),
    "search": SEARCH,
    "imputer": FlowImputer(SMALL, n_draws=5, add_indicator=True),
    "detector": FlowOutlierDetector(GaussianMixture(2), contamination=0.1),
    "detector of several": FlowOutlierDetector([("mixture", GaussianMixture()), ("flow", SMALL)]),
    "regressor": FlowRegressor(
        mean_estimator=LinearRegression(), max_iter=3, n_estimators=2, hidden_layer_sizes=(8,)
    ),
}

# Not in check_estimator, though they apply to any estimator, or any transformer that names columns.
MORE_CHECKS = ["check_param_validation", "check_dataframe_column_names_consistency"]
OF_TRANSFORMERS = [
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


def more_checks():
    for label, estimator in ESTIMATORS.items():
        # the second calls score_samples without y, which a regressor needs
        names = MORE_CHECKS[: 1 if label == "regressor" else 2]
        for name in names + (OF_TRANSFORMERS if hasattr(estimator, "transform") else []):
            yield label, name


def expected_failures(estimator):
    failures = {
        "check_sample_weight_equivalence_on_dense_data": (
            "batches and validation rows are drawn row by row, so that one row of weight 2 is not "
            "the same draw as two rows; in distribution they agree, see test_base.py"
        )
    }
    if isinstance(estimator, FlowImputer):
        return {}
    if isinstance(estimator, FlowRegressor):
        for name in ("sample_order", "subset"):
            failures[f"check_methods_{name}_invariance"] = "calls score_samples without y"
    return failures


@pytest.mark.filterwarnings("ignore:Column 'y' is nearly discrete")
@parametrize_with_checks(list(ESTIMATORS.values()), expected_failed_checks=expected_failures)
def test_check_estimator(estimator, check):
    check(estimator)


# The checks of set_output mix data frames and arrays on purpose.
@pytest.mark.filterwarnings(r"ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize(("label", "name"), list(more_checks()))
def test_more_checks(label, name):
    estimator = ESTIMATORS[label]
    getattr(estimator_checks, name)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("label", ESTIMATORS)
def test_docstring_names_every_parameter_and_fitted_attribute(label):
    estimator = clone(ESTIMATORS[label])
    head, attributes = inspect.getdoc(estimator).split("\nAttributes\n", 1)
    attributes = attributes.split("\n\n", 1)[0]
    # a line that begins a description, "a : int" or "a, b : int" or, for a reference, "a, b"
    lines = re.findall(r"^([a-z]\w*(?:, \w+)*)(?: : .*)?$", head, flags=re.MULTILINE)
    assert {name for line in lines for name in line.split(", ")} == set(estimator.get_params(False))
    X = pandas.DataFrame(np.random.RandomState(0).standard_normal((40, 3)), columns=list("abc"))
    fitted = {name for name in vars(estimator.fit(X, X["a"])) if re.fullmatch(r"[a-z]\w*_", name)}
    assert fitted <= set(re.findall(r"\w+_\b", attributes))


PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (skflow, masks, datasets, inspection, metrics)
    for name in module.__all__
    if callable(getattr(module, name))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name):
    """Pytest runs them: the package is among its testpaths, with --doctest-modules."""
    documentation = inspect.getdoc(PUBLIC[name])
    assert "\nExamples\n--------\n" in documentation
    assert doctest.DocTestParser().get_examples(documentation)


# ---- in a notebook


@pytest.mark.parametrize("as_layout", [lambda array: array, masks.Rule], ids=["array", "Rule"])
def test_large_masks_do_not_flood_the_screen(as_layout):
    flow = CouplingFlowDensity(
        40, mask_layout=as_layout(masks.parity(40, 100)), training=Training(alpha=0.5)
    )
    shown = repr(flow)
    assert "alpha=0.5" in shown
    assert "n_layers=40" in shown
    assert len(shown) < 1500
    assert shown.count("\n") < 25
    assert len(flow._repr_html_()) < 2 * len(CouplingFlowDensity()._repr_html_())
