"""Probabilities of regions and rows within them, against exact draws and closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skflow import CouplingFlowDensity
from skflow._missing.boxes import BoxedEllipses
from skflow._models.chain import fit_chain
from skflow._models.components import EllipticalMixture
from skflow._models.ellipses import precision_factors

SHAPE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])


def wages(n_rows, seed=0):
    """A spike at a bound, a grid, two categories, numbers that depend on them."""
    rng = np.random.RandomState(seed)
    sector = rng.choice(["law", "it", "art"], n_rows, p=[0.5, 0.3, 0.2])
    skill = rng.standard_normal(n_rows) + 2 * (sector == "law")
    wage = np.exp(skill / 2 + rng.standard_normal(n_rows) / 2)
    wage[rng.uniform(size=n_rows) < 0.3] = 0
    children = rng.poisson(2 + (skill > 1))
    city = rng.choice(["yes", "no"], n_rows)
    return pd.DataFrame(
        {"skill": skill, "wage": wage, "sector": sector, "children": children, "city": city}
    )


@pytest.fixture(scope="module")
def flow():
    return CouplingFlowDensity(
        2,
        hidden_layer_sizes=(16,),
        max_iter=10,
        bounds={"wage": (0, None)},
        dequantize=True,
        random_state=0,
    ).fit(wages(1000))


@pytest.fixture(scope="module")
def drawn(flow):
    return flow.sample(100_000, random_state=1, tails=True)


def holds(rows, conditions):
    found = np.ones(len(rows), dtype=bool)
    for name, condition in conditions.items():
        column = rows[name]
        if isinstance(condition, tuple):
            low, high = condition
            found &= column >= (-np.inf if low is None else low)
            found &= column <= (np.inf if high is None else high)
        else:
            found &= column.isin(condition if isinstance(condition, set) else {condition})
    return found


QUESTIONS = [
    ({"wage": (0, 0)}, {}),
    ({"wage": 0}, {"sector": "law"}),
    ({"sector": {"law", "it"}}, {"skill": (2, None)}),
    ({"children": (3, None)}, {"skill": (2, None), "city": "yes"}),
    ({"wage": (1, 3)}, {"children": (2, 2), "sector": "law"}),
    ({"wage": (None, 1)}, {"skill": (3, None)}),
    ({"city": "no", "wage": (0.5, None)}, {"skill": (0, 1), "wage": (None, 4)}),
    ({"skill": (None, -1), "sector": "law"}, {}),
]


@pytest.mark.parametrize("event, given", QUESTIONS)
def test_probabilities_are_those_of_exact_draws(flow, drawn, event, given):
    found = flow.probability(event, given)
    within = drawn[holds(drawn, given)]
    share = holds(within, event).mean()
    error = np.hypot(np.sqrt(share * (1 - share) / len(within)), found.error)
    assert abs(found.probability - share) < 4 * error
    assert 0 < found.error < 0.005


def test_all_rows_have_categories_of_fit():
    """The probability of an unseen category is in no answer, so that answers add up to 1."""
    rng = np.random.RandomState(0)
    kind = np.append([f"seen once {i}" for i in range(18)], rng.choice(["often", "too"], 42))
    table = pd.DataFrame({"kind": kind, "size": rng.standard_normal(60)})
    quick = {"hidden_layer_sizes": (), "max_iter": 1, "early_stopping": False}
    few = CouplingFlowDensity(1, **quick, random_state=0).fit(table)
    asked = [{"kind": {"often"}}, {"kind": set(kind) - {"often"}}]
    asked += [{"size": (None, 1)}, {"size": (1, None)}]
    found = [few.probability(event) for event in asked]
    assert found[0].probability + found[1].probability == pytest.approx(1, abs=0.01)
    assert found[2].probability + found[3].probability == pytest.approx(1, abs=0.01)
    assert few.probability({"kind": set(kind)}).probability == 1


def test_functions_are_events_on_several_columns(flow, drawn):
    found = flow.probability(lambda rows: rows["wage"] > rows["children"], {"sector": "law"})
    within = drawn[drawn.sector == "law"]
    share = (within.wage > within.children).mean()
    assert abs(found.probability - share) < 4 * np.hypot(0.5 / np.sqrt(len(within)), found.error)


def test_given_a_single_number_the_density_is_meant(flow):
    # against the quotient of integrals of the density over a fine grid
    row = pd.DataFrame({"skill": [1.5], "sector": ["law"], "city": ["no"]})
    grid = np.linspace(1e-3, 40, 20_001)
    rows = row.loc[np.zeros(len(grid), dtype=int)].assign(wage=grid, children=2)
    rows = rows[list(wages(1).columns)]
    density = np.exp(flow.score_samples(rows))
    spike = np.exp(flow.score_samples(rows[:1].assign(wage=0.0)))[0]
    total = np.trapezoid(density, grid) if hasattr(np, "trapezoid") else np.trapz(density, grid)
    above = grid >= 3
    part = density[above].sum() * (grid[1] - grid[0])
    found = flow.probability(
        {"wage": (3, None)}, {"skill": 1.5, "sector": "law", "city": "no", "children": 2}
    )
    assert found.probability == pytest.approx(part / (total + spike), abs=0.01)


def test_rare_conditions_cost_no_more_draws(flow, drawn):
    rare = {"skill": (5.5, None), "sector": "it"}
    found = flow.probability(rare)
    assert 0 < found.probability < 1e-3
    assert found.error < 0.02 * found.probability
    rows, ess = flow.sample_given(rare, 200, random_state=0, return_ess=True)
    assert ess > 200
    assert (rows.skill >= 5.5).all() and (rows.sector == "it").all()


def test_draws_are_those_of_the_region(flow, drawn):
    given = {"skill": (2, None), "sector": {"law", "art"}}
    rows = flow.sample_given(given, 2000, random_state=0)
    assert holds(rows, given).all()
    assert list(rows.dtypes) == list(wages(2).dtypes)
    within = drawn[holds(drawn, given)]
    for name in ("skill", "wage", "children"):
        assert stats.ks_2samp(rows[name], within[name]).statistic < 0.05
    assert (rows.sector == "law").mean() == pytest.approx((within.sector == "law").mean(), abs=0.03)


def test_arrays_are_asked_by_numbers_of_columns():
    X = np.random.RandomState(0).multivariate_normal(np.zeros(3), SHAPE, 500)
    flow = CouplingFlowDensity(2, max_iter=2, random_state=0).fit(X)
    rows = flow.sample_given({0: (1, None), 2: 0.5}, 50, random_state=0)
    assert rows.shape == (50, 3)
    assert (rows[:, 0] >= 1).all() and (rows[:, 2] == 0.5).all()
    same = flow.probability({1: (0, None)}, {0: (1, None)})
    assert same == flow.probability({1: (0, None)}, {0: (1, None)})
    assert flow.probability({0: (0, 1)}, {0: (2, 3)}) == (0, 0)
    assert flow.probability({0: 0.25}) == (0, 0)  # a single real number


@pytest.mark.parametrize(
    "event, given, message",
    [
        ({"pay": 1}, {}, "event names 'pay', which is not a column"),
        ({"sector": "war"}, {}, "event asks for 'war' in column 'sector'. The categories are"),
        ({"skill": (2, 1)}, {}, r"event has \(2, 1\) for column 'skill'"),
        ({"skill": "high"}, {}, "event has 'high' for column 'skill'"),
        ([1], {}, r"event=\[1\] is not possible"),
        ({"skill": (0, 1)}, {"wage": (-5, -1)}, "No row can satisfy given"),
        ({"skill": (0, 1)}, {"wage": -5}, "beyond the bounds, in column 'wage'"),
        ({"skill": (0, 1)}, {"sector": set()}, "given asks for"),
        (lambda rows: rows["skill"], {}, "Return one boolean for each row"),
    ],
)
def test_questions_that_make_no_sense(flow, event, given, message):
    with pytest.raises(ValueError, match=message):
        flow.probability(event, given)


@pytest.mark.parametrize("dof", [np.inf, 4.0])
def test_boxes_have_the_probabilities_of_closed_forms(dof):
    ellipse = EllipticalMixture()
    ellipse.weights, ellipse.centres, ellipse.dof = np.ones(1), np.array([[0.5, -1.0, 0.2]]), dof
    ellipse.factors = precision_factors(SHAPE[None])
    boxed = BoxedEllipses(ellipse, np.array([1, 0, 2]), 0)
    rng, n_rows = np.random.RandomState(0), 20_000
    # in the order of the ellipse: the columns 1, 0, 2
    lower, upper = np.array([0.5, 1.0, -np.inf]), np.array([np.inf, 3.0, 0.4])
    boxes = np.tile(lower, (n_rows, 1)), np.tile(upper, (n_rows, 1))
    rows, log_mass = boxed.draw(0, np.empty((n_rows, 0)), *boxes, rng.uniform(size=(n_rows, 3)))
    assert ((rows >= lower) & (rows <= upper)).all()
    order = [1, 0, 2]
    truth = dict(mean=ellipse.centres[0, order], cov=SHAPE[np.ix_(order, order)])
    if dof == np.inf:
        exact = stats.multivariate_normal(**truth)
    else:
        exact = stats.multivariate_t(truth["mean"], truth["cov"], df=dof)
    inside = exact.rvs(2_000_000, random_state=0)
    share = ((inside >= lower) & (inside <= upper)).all(axis=1).mean()
    assert np.exp(log_mass).mean() == pytest.approx(share, rel=0.05)
    # weight times density of the draw is the density
    log_q = boxed.log_density(rows, *boxes)[0]
    assert log_q + log_mass == pytest.approx(exact.logpdf(rows))
    known = BoxedEllipses(ellipse, np.array([1, 0, 2]), 3)
    log_prob = known.draw(0, rows, *(box[:, :0] for box in boxes), boxes[0][:, :0])[1]
    assert log_prob == pytest.approx(exact.logpdf(rows))


def test_chains_fill_in_what_is_allowed():
    rng = np.random.RandomState(0)
    first = rng.randint(3, size=500)
    discrete = np.column_stack([first, (first + rng.randint(2, size=500)) % 3])
    chain = fit_chain(discrete, np.array([3, 3]), None, rng, np.zeros(2, dtype=bool))
    allowed = [np.array([True, True, False]), np.array([False, True, True])]
    filled, log_weight = chain.fill_within(allowed, rng.uniform(size=(4000, 2)))
    assert allowed[0][filled[:, 0]].all() and allowed[1][filled[:, 1]].all()
    every = np.array([[i, j] for i in (0, 1) for j in (1, 2)])
    assert np.exp(log_weight).mean() == pytest.approx(np.exp(chain.log_prob(every)).sum(), rel=0.03)
