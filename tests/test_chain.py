"""The distribution of the discrete part: sums, Bayes' rule, and models that others fit, too."""

from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score

from skflow._models import chain as module
from skflow._models.chain import (
    Chain,
    Factor,
    Frequencies,
    Logistic,
    fit_chain,
    held_out_folds,
    models_for,
    mutual_information,
    unseen_part,
)
from skflow._table.table import MISSING, UNKNOWN

SIZES = np.array([2, 3, 2])


def table(n_rows=300, seed=0):
    """The second column says most of the others; the third hardly anything of the first."""
    rng = np.random.RandomState(seed)
    second = rng.choice(3, n_rows, p=[0.5, 0.3, 0.2])
    first = rng.uniform(size=n_rows) < np.array([0.1, 0.5, 0.9])[second]
    third = rng.uniform(size=n_rows) < np.array([0.3, 0.9, 0.2])[second]
    return np.column_stack([first, second, third]).astype(int)


def fitted(discrete, sizes=SIZES, weight=None, open_ended=True):
    rng, n_columns = np.random.RandomState(0), discrete.shape[1]
    return fit_chain(discrete, np.asarray(sizes), weight, rng, np.full(n_columns, open_ended))


def all_rows(sizes=SIZES, first=0):
    return np.array(list(product(*(range(first, size) for size in sizes))))


@pytest.fixture(scope="module")
def chain():
    return fitted(table(), open_ended=False)


@pytest.fixture(scope="module")
def probabilities(chain):
    """Of all rows, as an array with an axis for each column."""
    return np.exp(chain.log_prob(all_rows())).reshape(SIZES)


# ---- one distribution


@pytest.mark.parametrize("open_ended", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_of_all_rows_add_up_to_one(open_ended, weighted):
    """Of an open-ended column its unseen category is one more value."""
    weight = np.random.RandomState(0).exponential(size=300) if weighted else None
    chain = fitted(table(), weight=weight, open_ended=open_ended)
    rows = all_rows(first=UNKNOWN if open_ended else 0)
    assert np.exp(chain.log_prob(rows)).sum() == pytest.approx(1, abs=1e-12)


def test_the_density_of_a_row_is_the_product_of_its_factors():
    chain = fitted(table())
    rows = all_rows(first=UNKNOWN)
    truth = np.zeros(len(rows))
    for factor in chain.factors:
        for i, row in enumerate(rows):
            value, given = row[factor.column], row[None, factor.given]
            mixed = sum(
                w * m.predict_proba(given)[0] for w, m in zip(factor.weights, factor.models)
            )
            seen = 1 - factor.unseen
            truth[i] += np.log(factor.unseen if value == UNKNOWN else seen * mixed[value])
    np.testing.assert_allclose(chain.log_prob(rows), truth)


def test_shares_are_those_of_the_rows(probabilities):
    rows = table()
    for j in range(3):
        others = tuple(k for k in range(3) if k != j)
        shares = np.bincount(rows[:, j], minlength=SIZES[j]) / len(rows)
        np.testing.assert_allclose(probabilities.sum(axis=others), shares, atol=0.02)
    pairs = np.array(
        [[np.mean((rows[:, :2] == (a, b)).all(axis=1)) for b in range(3)] for a in (0, 1)]
    )
    np.testing.assert_allclose(probabilities.sum(axis=2), pairs, atol=0.02)


def test_one_column_by_hand():
    column = np.repeat([0, 1], [7, 3])[:, None]
    found = np.exp(fitted(column, [3]).log_prob(np.array([[0], [1], [2], [UNKNOWN]])))
    shares = np.array([7 + 1 / 3, 3 + 1 / 3, 1 / 3]) / (10 + 1)
    unseen = 1 / (10 + 1)  # as none was seen once
    assert found == pytest.approx([*shares * (1 - unseen), unseen])


def test_draws_are_of_the_distribution(chain, probabilities):
    n_draws = 20_000
    drawn = chain.sample(n_draws, np.random.RandomState(0))
    counts = np.zeros(SIZES)
    np.add.at(counts, tuple(drawn.T), 1)
    error = np.sqrt(probabilities * (1 - probabilities) / n_draws)
    assert (np.abs(counts / n_draws - probabilities) < 4 * error + 1e-9).all()


class Fixed:
    """A model with the same probabilities for every row."""

    def __init__(self, probabilities):
        self.probabilities = np.array(probabilities)

    def predict_proba(self, X):
        return np.tile(self.probabilities, (len(X), 1))


def test_a_value_without_probability_is_never_drawn():
    factor = Factor(0, np.array([], int), [Fixed([0, 0.5, 0, 0.5, 0])], np.ones(1), 0.0)
    levels = np.array([[0.0], [0.25], [0.5], [np.nextafter(1, 0)]])
    assert factor.place(np.zeros((4, 1), int), levels)[0].tolist() == [1, 1, 3, 3]
    factor.models = [Fixed([0.5, 0.5 - 2e-16, 0])]  # the sum is rounded below 1
    assert factor.place(np.zeros((1, 1), int), levels[3:])[0].tolist() == [1]


# ---- what is not known


def test_missing_are_filled_by_the_rule_of_bayes(chain, probabilities):
    """Any columns given any others, as sums over all rows say."""
    uniform = np.random.RandomState(0).uniform(size=(20_000, 3))
    for row in ([1, MISSING, 0], [MISSING, MISSING, 1], [MISSING, 2, MISSING], [0, 1, MISSING]):
        row = np.array(row)
        filled, log_weight = chain.fill(np.tile(row, (20_000, 1)), uniform)
        known = row != MISSING
        assert (filled[:, known] == row[known]).all()
        fits = probabilities[tuple(slice(None) if value == MISSING else value for value in row)]
        assert np.exp(log_weight).mean() == pytest.approx(fits.sum(), rel=0.03)
        counts = np.zeros(fits.shape)
        np.add.at(counts, tuple(filled[:, ~known].T), np.exp(log_weight))
        np.testing.assert_allclose(counts / counts.sum(), fits / fits.sum(), atol=0.015)


def test_a_whole_row_weighs_its_probability_and_an_empty_one_one(chain):
    rows = all_rows()
    filled, log_weight = chain.fill(rows, np.zeros(rows.shape))
    np.testing.assert_array_equal(filled, rows)
    np.testing.assert_allclose(log_weight, chain.log_prob(rows))
    empty = np.full((50, 3), MISSING)
    uniform = np.random.RandomState(1).uniform(size=empty.shape)
    filled, log_weight = chain.fill(empty, uniform)
    assert (log_weight == 0).all() and (filled >= 0).all()
    assert (empty == MISSING).all()  # what is given stays as it is


def test_the_part_of_unseen_categories_is_that_of_good_and_turing():
    column = np.array([0] * 60 + [1] * 37 + [2, 3, 4])
    assert unseen_part(column, None) == pytest.approx((3 + 1) / (100 + 3 + 1))
    weight = np.where(column == 0, 3.0, 1.0)
    kish = weight.sum() ** 2 / (weight**2).sum()
    assert unseen_part(column, weight) == pytest.approx(4 / (kish + 4))
    assert unseen_part(np.repeat([0, 1], 5), None) == pytest.approx(1 / 11)


def test_a_column_that_is_not_open_ended_has_its_values_only(chain):
    assert (chain.log_prob(np.array([[0, UNKNOWN, 0]])) == -np.inf).all()
    mixed = fit_chain(
        table(), SIZES, None, np.random.RandomState(0), np.array([False, True, False])
    )
    unseen = {factor.column: factor.unseen for factor in mixed.factors}
    assert unseen == {0: 0.0, 1: pytest.approx(1 / 301), 2: 0.0}


# ---- the order


def test_mutual_information_is_that_of_scikit_learn():
    rows = table()
    found = mutual_information(rows, SIZES)
    truth = [
        [mutual_info_score(a, b) if i != j else 0 for j, b in enumerate(rows.T)]
        for i, a in enumerate(rows.T)
    ]
    np.testing.assert_allclose(found, truth, atol=1e-12)
    times = np.random.RandomState(0).randint(1, 5, len(rows))
    weighted = mutual_information(rows, SIZES, times.astype(float))
    np.testing.assert_allclose(weighted, mutual_information(np.repeat(rows, times, axis=0), SIZES))


def test_the_chain_begins_with_the_column_that_tells_most():
    """And each column is given the others before it, the most informative first."""
    rng = np.random.RandomState(0)
    most = rng.choice(4, 2000)
    others = [
        np.where(rng.uniform(size=2000) < part, most, rng.choice(4, 2000))
        for part in (0.3, 0.6, 0.9)
    ]
    rows = np.column_stack([*others, most])
    factors = fitted(rows, [4] * 4).factors
    assert [factor.column for factor in factors] == [3, 2, 1, 0]
    assert [list(factor.given) for factor in factors] == [[], [3], [3, 2], [3, 2, 1]]
    moved = [2, 0, 3, 1]
    again = fitted(rows[:, moved], [4] * 4).factors
    assert [moved[factor.column] for factor in again] == [3, 2, 1, 0]
    assert [[moved[j] for j in factor.given] for factor in again] == [[], [3], [3, 2], [3, 2, 1]]


# ---- the models


def test_logistic_models_are_those_of_scikit_learn():
    """On a column of 0 and 1 for each value, with zeros for a value that was not seen."""
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.choice(size, 60) for size in (3, 2)])
    y = np.where(rng.uniform(size=60) < 0.7, X[:, 0], 3)  # never 4
    weight = rng.uniform(0.5, 2, 60)
    one_hot = lambda rows: np.hstack([rows[:, [0]] == range(3), rows[:, [1]] == range(2)])  # noqa: E731
    truth = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000)
    truth.fit(one_hot(X).astype(float), y, sample_weight=weight)
    model = Logistic().fit(X, y, np.array([3, 2]), 5, weight)
    rows = np.array(list(product(range(UNKNOWN, 3), range(UNKNOWN, 2))))
    found = model.predict_proba(rows)
    assert found.shape == (len(rows), 5)
    np.testing.assert_allclose(
        found[:, truth.classes_], truth.predict_proba(one_hot(rows).astype(float)), atol=0.012
    )
    assert (np.delete(found, truth.classes_, axis=1) == 0).all()


def test_logistic_models_see_some_of_many_rows(monkeypatch):
    rows = table()
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    fit = lambda part: Logistic().fit(part[:, :2], part[:, 2], SIZES[:2], 2, np.ones(len(part)))  # noqa: E731
    found, truth = fit(rows), fit(rows[::3])
    np.testing.assert_array_equal(
        found.predict_proba(all_rows()[:, :2]), truth.predict_proba(all_rows()[:, :2])
    )


def additive(n_rows, seed):
    """A value whose log-odds are a sum over eight columns of two values each, and its odds."""
    rng = np.random.RandomState(seed)
    X = rng.choice(2, (n_rows, 8))
    log_odds = 1.5 * (X - 0.5) @ np.array([1, -1, 1, -1, 1, -1, 1, 1])
    p = 1 / (1 + np.exp(-log_odds))
    return np.column_stack([rng.uniform(size=n_rows) < p, X]).astype(int), p


def conditional_log_prob(chain, rows):
    """Of the first column given the others, by summing over its values."""
    both = [rows.copy(), rows.copy()]
    both[0][:, 0], both[1][:, 0] = 0, 1
    joint = np.stack([chain.log_prob(filled) for filled in both])
    own = joint[rows[:, 0], np.arange(len(rows))]
    return own - np.logaddexp(*joint)


def test_effects_that_add_up_are_found_by_the_logistic_model():
    """Of 500 rows with 256 sets of given values counts say little."""
    rows, _ = additive(500, 0)
    new, p = additive(4000, 1)
    chain = fitted(rows, [2] * 9)
    truth = np.where(new[:, 0] == 1, np.log(p), np.log1p(-p)).mean()
    found = conditional_log_prob(chain, new).mean()
    nothing = np.mean(new[:, 0])
    constant = nothing * np.log(nothing) + (1 - nothing) * np.log1p(-nothing)
    assert constant < truth - 0.15  # there is something to be found
    assert found > truth - 0.05
    # what gives every category some probability is never left out
    assert min(factor.weights[0] for factor in chain.factors) > 0.95 * module.LEAST_WEIGHT


def test_what_does_not_add_up_is_found_by_counts():
    """The exclusive or of two columns, of which no logistic model knows anything."""
    rng = np.random.RandomState(0)
    X = rng.choice(2, (400, 2))
    exclusive = (X[:, 0] ^ X[:, 1]) ^ (rng.uniform(size=400) < 0.05)
    chain = fitted(np.column_stack([exclusive, X]), [2] * 3)
    found = conditional_log_prob(chain, np.column_stack([exclusive, X])).mean()
    assert found == pytest.approx(0.95 * np.log(0.95) + 0.05 * np.log(0.05), abs=0.06)


def test_counts_of_few_rows_are_smoothed_as_held_out_rows_ask_for():
    """Of sixty values with five rows each nothing is to be learned, or everything."""
    rng = np.random.RandomState(0)
    given = np.repeat(np.arange(60), 5)
    noise, parity = rng.choice(2, 300), given % 2
    for column, most in ((noise, np.log(1 / 2) - 0.06), (parity, -0.3)):
        factors = fitted(np.column_stack([column, given]), [2, 60], open_ended=False).factors
        chain = Chain(factors)
        new = rng.choice(60, 2000)
        rows = np.column_stack([rng.choice(2, 2000) if column is noise else new % 2, new])
        assert conditional_log_prob(chain, rows).mean() > most


def test_which_models_a_column_has():
    assert [type(model) for model in models_for(0, 4)] == [Frequencies]
    assert {type(model) for model in models_for(1, 4)} == {Frequencies}  # counts say all there is
    assert {type(model) for model in models_for(2, 4)} == {Frequencies, Logistic}
    assert {type(model) for model in models_for(2, 1)} == {Frequencies}


def test_a_column_with_one_value_and_folds_without_a_rare_one():
    rows = np.column_stack([table(60), np.zeros(60, int), np.eye(1, 60, dtype=int)[0]])
    chain = fitted(rows, [*SIZES, 1, 2])
    total = np.exp(chain.log_prob(all_rows([*SIZES, 1, 2], UNKNOWN))).sum()
    assert total == pytest.approx(1, abs=1e-12)
    assert np.isfinite(chain.log_prob(all_rows([*SIZES, 1, 2], UNKNOWN))).all()


def test_weights_are_repeated_rows():
    """Nearly, as other rows are held out to weigh the models."""
    rows = table(200)
    times = np.where(rows[:, 0] == 1, 6, 1)
    weighted = fitted(rows, weight=times.astype(float), open_ended=False)
    repeated = fitted(np.repeat(rows, times, axis=0), open_ended=False)
    unweighted = fitted(rows, open_ended=False)
    p, q, other = (np.exp(one.log_prob(all_rows())) for one in (weighted, repeated, unweighted))
    np.testing.assert_allclose(p, q, atol=0.012)
    assert np.abs(p - other).max() > 0.1


def test_every_row_of_a_short_table_is_held_out_once():
    for n_rows, n_folds in ((3, 3), (50, 5), (2000, 5)):
        folds = held_out_folds(n_rows, np.random.RandomState(0))
        assert len(folds) == n_folds
        held_out = np.concatenate([others for _, others in folds])
        np.testing.assert_array_equal(np.sort(held_out), np.arange(n_rows))
        for rows, others in folds:
            np.testing.assert_array_equal(np.sort(np.append(rows, others)), np.arange(n_rows))
    [(rows, others)] = held_out_folds(2001, np.random.RandomState(0))
    assert len(others) == pytest.approx(2001 / 5, abs=1)
    np.testing.assert_array_equal(np.sort(np.append(rows, others)), np.arange(2001))


def test_the_weights_are_those_of_rows_that_no_model_has_seen():
    """Counts know every row that they saw; of new rows of noise they know nothing."""
    rng = np.random.RandomState(0)
    noise = rng.choice(2, (300, 7))
    factor = fitted(noise, [2] * 7).factors[-1]
    new = rng.choice(2, (3000, 7))
    assert factor.log_prob(new).mean() > np.log(1 / 2) - 0.03
