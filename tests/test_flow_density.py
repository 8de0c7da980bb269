"""``CouplingFlowDensity``: the coupling structure as a hyperparameter."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skflow import CouplingFlowDensity, StructureSearchFlow, Training, masks
from skflow._models.flow import FlowModel
from skflow._models.mixture import Context
from skflow._nn.flow import FlowStack
from skflow._structure import layouts as _layouts
from skflow.datasets import fetch_magic

PAIR = np.array([[True, False, False, True], [False, True, True, False]])


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((200, 4))
    X[:, 3] += X[:, 0] ** 2
    return X


def flow(**params):
    return CouplingFlowDensity(
        **{
            "n_layers": 2,
            "hidden_layer_sizes": (),
            "max_iter": 2,
            "component_weight": 0,
            "random_state": 0,
            **params,
        }
    )


SEARCH = masks.EvolutionarySearch.paper(n_iter=3, n_candidate_steps=2)


# ---- layouts


@pytest.mark.parametrize("n_conditioning", [1, 2, 3, 0.25, None])
@pytest.mark.parametrize("searched", [False, True])
def test_masks_that_are_drawn_have_the_sizes_that_were_asked_for(X, searched, n_conditioning):
    layout = masks.Rule("random", n_conditioning)
    if searched:
        layout = clone(SEARCH).set_params(initial_layout=layout)
    model = flow(mask_layout=layout, n_layers=3).fit(X)
    n_conditioning = {None: 2, 0.25: 1}.get(n_conditioning, n_conditioning)
    np.testing.assert_array_equal((~model.masks_).sum(axis=1), [n_conditioning] * 3)
    assert hasattr(model, "search_history_") == searched


@pytest.mark.slow
def test_the_layout_decides_what_the_density_can_express():
    """A feature that is never transformed but by constants stays normal."""
    X = np.random.RandomState(0).standard_normal((1000, 2))
    X[:, 1] = X[:, 0] ** 2 + 0.1 * X[:, 1]
    scores = {}
    for column in (0, 1):
        layout = np.arange(2) == np.full((4, 1), column)
        params = {"n_layers": 4, "hidden_layer_sizes": (16,), "max_iter": 20}
        params["training"] = Training(batch_size=64)
        scores[column] = flow(mask_layout=layout, **params).fit(X).score(X)
    assert scores[1] > scores[0] + 0.2


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (np.ones((2, 4), dtype=bool), r"mask_layout transforms everything in layer 1 of 2"),
        (np.zeros((2, 4), dtype=bool), r"mask_layout transforms nothing in layer 1 of 2"),
        (PAIR[:1], r"mask_layout has shape \(1, 4\).*\(2, 4\)"),
        (PAIR.astype(int), "mask_layout has dtype int64"),
        ([[True, False], [True]], "mask_layout cannot be made an array"),
        ("checkerboard", "mask_layout='checkerboard'"),
        (None, "mask_layout=None"),
        (masks.Derived, "write Derived"),
        (masks.EvolutionarySearch(initial_layout="search"), "initial_layout='search'"),
    ],
)
def test_bad_layouts(X, layout, message):
    with pytest.raises(ValueError, match=message):
        flow(mask_layout=layout).fit(X)


def test_one_feature_has_nothing_to_condition_on(X):
    for layout in ("parity", "random", SEARCH, [[True], [True]]):
        assert flow(mask_layout=layout).fit(X[:, :1]).masks_.tolist() == [[True], [True]]
    with pytest.raises(ValueError, match=r"n_conditioning=1.*n_features=1"):
        flow(mask_layout=masks.Rule("random", 1)).fit(X[:, :1])


def test_a_search_as_layout_is_the_structure_search_estimator(X):
    search = {"n_candidate_steps": 2, "search_space": "alternating"}
    one = flow(mask_layout=masks.EvolutionarySearch(n_iter=5, **search)).fit(X)
    other = StructureSearchFlow(
        n_layers=2,
        n_search_iter=5,
        hidden_layer_sizes=(),
        max_iter=2,
        component_weight=0,
        random_state=0,
        **search,
    ).fit(X)
    np.testing.assert_array_equal(one.masks_, other.masks_)
    np.testing.assert_array_equal(one.score_samples(X), other.score_samples(X))


def test_what_is_told_of_a_search_goes_with_it(X):
    model = flow(mask_layout=SEARCH).fit(X)
    assert model.search_stop_reason_ == "n_iter"
    model.set_params(mask_layout="parity").fit(X)
    assert not [name for name in vars(model) if name.startswith(("search_", "initial_"))]


# ---- grids


LAYOUTS = {"mask_layout": ["parity", "random", "search"]}


@pytest.fixture
def short_search(monkeypatch):
    """The string "search" with 3 iterations, where all runs in this process."""
    monkeypatch.setitem(_layouts.SHORTHANDS, "search", lambda: SEARCH)


def test_one_grid_compares_structures(X, short_search):
    search = GridSearchCV(flow(), LAYOUTS, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) == 3
    assert search.best_params_["mask_layout"] in LAYOUTS["mask_layout"]
    assert search.score(X) == search.best_estimator_.score(X)


def test_grid_in_a_pipeline(X, short_search):
    pipe = Pipeline([("scale", StandardScaler()), ("flow", flow())])
    search = GridSearchCV(pipe, {"flow__mask_layout": LAYOUTS["mask_layout"]}, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # sampling back through the pipeline, as the documentation shows
    Z = search.best_estimator_["flow"].sample(5, random_state=0)
    assert search.best_estimator_["scale"].inverse_transform(Z).shape == (5, 4)


def test_grid_over_the_parameters_of_a_layout(X):
    grid = {"mask_layout__n_iter": [1, 4], "mask_layout__search_space": ["free", "alternating"]}
    search = GridSearchCV(flow(mask_layout=SEARCH), grid, cv=2).fit(X)
    best = search.best_estimator_
    assert len(best.search_history_) == 1 + search.best_params_["mask_layout__n_iter"]
    assert SEARCH.n_iter == 3  # candidates of the grid are clones
    assert best.get_params()["mask_layout__n_candidate_steps"] == 2
    with pytest.raises(ValueError, match="Invalid parameter"):
        flow(mask_layout=SEARCH).set_params(mask_layout__temperature=1)


# ---- the paper's data


@pytest.mark.slow
@pytest.mark.parametrize("with_context", [False, True])
def test_draws_are_those_of_the_members(with_context, monkeypatch):
    """A member has the draws that fall to it, and no stack is built for it."""
    stack = FlowStack(np.array([PAIR] * 3), n_context=2 * with_context, dtype=torch.float64)
    stack.theta.copy_(torch.randn(stack.theta.shape, generator=torch.Generator().manual_seed(0)))
    model, n_draws, rng = FlowModel(stack), 40, np.random.RandomState(0)
    member, Z = rng.choice(3, n_draws), rng.standard_normal((n_draws, 4))
    numbers = np.arange(2 * n_draws).reshape(n_draws, 2) / n_draws
    context = Context(numbers, np.zeros((n_draws, 0), int), np.zeros((n_draws, 4), bool))
    context = context if with_context else None
    expected = model.from_latent(Z, context)[member, np.arange(n_draws)]
    monkeypatch.delattr(FlowStack, "take")
    drawn = model.sample(n_draws, np.random.RandomState(0), context)
    np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.paper_data
def test_magic_with_the_architecture_of_the_paper(paper_data):
    """In bits per dimension: the paper 16.75 (parity) and 6.24 (searched), a Gaussian 4.51."""
    magic = fetch_magic(data_home=paper_data)
    train, test = magic.data[magic.train_indices], magic.data[magic.test_indices]
    n_epochs = 1250 / (len(train) // magic.batch_size)
    model = CouplingFlowDensity(
        n_layers=2,
        coupling="affine",
        hidden_layer_sizes=(),
        component_weight=0,
        training=Training(batch_size=magic.batch_size, learning_rate_init=0.06),
        max_iter=n_epochs,
        early_stopping=False,
        random_state=0,
    ).fit(train)
    assert model.bits_per_dim(test) <= 4.08
    gaussian = multivariate_normal(train.mean(axis=0), np.cov(train, rowvar=False))
    assert -gaussian.logpdf(test).mean() / (10 * np.log(2)) == pytest.approx(4.51, abs=0.01)
