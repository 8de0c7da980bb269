"""What ``sample`` draws: rows like those of fit, or with tails=True the density itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from skflow import CouplingFlowDensity
from skflow._table.columns import fit_columns

QUICK = {"n_layers": 2, "max_iter": 4, "hidden_layer_sizes": (16,), "random_state": 0}


def incomes():
    rng = np.random.RandomState(0)
    income = np.exp(rng.normal(10.4, 0.6, 800))
    age = rng.uniform(18, 90, 800)
    return np.column_stack([income, age, 1.0 + rng.poisson(1.2, 800)])


@pytest.fixture(scope="module")
def fitted():
    return CouplingFlowDensity(**QUICK, dequantize=True, component_weight=0.3).fit(incomes())


def test_samples_lie_within_the_range_widened_by_a_tenth(fitted):
    X = incomes()
    drawn = fitted.sample(5000, random_state=0)
    margin = (X.max(axis=0) - X.min(axis=0)) / 10
    assert drawn.shape == (5000, 3)
    assert (drawn >= np.maximum(X.min(axis=0) - margin, 0)).all()
    assert (drawn <= X.max(axis=0) + margin).all()
    assert (drawn[:, 2] >= 1).all()  # nobody lives in a household of 0
    whole = fitted.sample(5000, random_state=0, tails=True)
    assert (whole < 0).any() and (whole > X.max(axis=0) + margin).any()


def test_columns_that_are_never_positive_or_of_both_signs():
    X = np.column_stack([-incomes()[:, 0], incomes()[:, 1] - 50, np.full(800, 7.0)])
    with pytest.warns(UserWarning, match="constant"):
        model = CouplingFlowDensity(**QUICK, component_weight=0.3).fit(X)
    drawn = model.sample(5000, random_state=0)
    assert (drawn[:, 0] <= 0).all() and (drawn[:, 2] == 7).all()
    assert drawn[:, 1].min() < X[:, 1].min()


def test_heavy_tails_keep_what_held_out_rows_give_them():
    density = CouplingFlowDensity(**QUICK).fit(incomes()[:200, :2])._density
    mixture, trimmed = density.mixture, density.without_least_weights().mixture
    heavy = np.array([model.heavy_tailed for model in mixture.models.values()])
    least = 0.004  # of two columns
    assert (mixture.weights[heavy] >= least - 1e-12).all()
    kept = np.maximum(mixture.weights - least * heavy, 0)
    assert trimmed.weights == pytest.approx(kept / kept.sum(), abs=1e-12)


def test_spikes_and_categories_are_no_numbers_beyond_the_range():
    X = incomes()
    frame = pd.DataFrame({"income": X[:, 0], "age": X[:, 1]})
    frame.loc[::3, "income"] = -999.0
    frame["city"] = pd.Series(np.array(["a", "b"])[(X[:, 1] > 50).astype(int)], dtype="category")
    model = CouplingFlowDensity(**QUICK, component_weight=0.3).fit(frame)
    drawn = model.sample(3000, random_state=0)
    assert (drawn.income == -999).mean() == pytest.approx(1 / 3, abs=0.04)
    others = drawn.income[drawn.income != -999]
    assert others.min() >= 0 and others.max() <= 1.1 * X[:, 0].max()
    assert list(drawn) == list(frame) and set(drawn.city) == {"a", "b"}


def test_missing_and_warm_starts_count_as_what_is_known():
    X = incomes()[:, :2]
    incomplete = X.copy()
    incomplete[::4, 0] = np.nan
    model = CouplingFlowDensity(**QUICK, component_weight=0.3, warm_start=True).fit(incomplete)
    columns = model._density.columns
    assert columns.most[0] == np.nanmax(incomplete[:, 0]) and columns.least[1] == X[:, 1].min()
    model.fit(np.vstack([incomplete, [[2 * X[:, 0].max(), 50]]]))
    assert model._density.columns.most[0] == 2 * X[:, 0].max()


def test_a_density_far_wider_than_the_data_is_said_to_be_so(fitted):
    columns = fit_columns(incomes()).spanning(np.full((2, 3), 1e9))
    wide = replace(fitted._density, columns=columns)
    with pytest.warns(UserWarning, match=r"values are clipped to these ranges.*tails=True"):
        drawn = wide.sample_typical(20, np.random.RandomState(0))
    np.testing.assert_array_equal(drawn, 1e9)
