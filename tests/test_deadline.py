"""``max_time``: schedules that end in time, by a clock of the tests."""

import math

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingRegressor
from small_trainings import options

from skflow import (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    Training,
    masks,
)
from skflow._core import deadline
from skflow._core.deadline import in_turn, share_of_time, time_left, time_limit
from skflow._missing import questions
from skflow._missing.fitting import draw_missing
from skflow._missing.importance import weighted_draws
from skflow._models.fitting import fit_component
from skflow._nn.flow import FlowStack
from skflow._nn.optimizers import learning_rates
from skflow._nn.training import FIRST_STEPS, Trainer, make_generators
from skflow._nn.training_data import TrainingData

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0}


class Clock:
    """Stands still, but for what is spent on purpose."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(deadline.time, "monotonic", lambda: self.now)

    def slow_down(self, monkeypatch, method, seconds):
        """Each call of a method of the trainer takes some seconds, by its arguments."""
        original = getattr(Trainer, method)

        def slow(trainer, *args):
            self.now += seconds(*args)
            return original(trainer, *args)

        monkeypatch.setattr(Trainer, method, slow)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_of_several_limits_the_earliest_holds(clock):
    assert math.isinf(time_left()) and share_of_time(0.5) is None
    with time_limit(10), time_limit(None):
        assert time_left() == 10
        with time_limit(20):
            assert time_left() == 10
        with time_limit(share_of_time(0.25)):
            clock.now += 1
            assert time_left() == 1.5
        assert time_left() == 9
        clock.now += 100
        assert time_left() == 0
        with time_limit(None, anew=True):
            assert math.isinf(time_left())
    assert math.isinf(time_left())


def test_steps_in_turn_have_even_shares(clock):
    with time_limit(9):
        shares = []
        for seconds in in_turn([1, 3, 3]):
            shares.append(time_left())
            clock.now += seconds
    assert shares == [3, 4, 5]


@pytest.fixture
def trainer():
    table = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    data = TrainingData(table, torch.arange(40)[None], torch.arange(40, 60)[None])
    chosen = options(n_steps=400, steps_per_epoch=20)
    flow = FlowStack(masks.parity(2, 4)[None], coupling="affine", hidden_layer_sizes=())
    flow.initialize(make_generators([0]))
    return Trainer(flow, chosen, data, make_generators([0]))


@pytest.mark.parametrize("seconds", [3.0, 30.0, 200.0])
def test_the_schedule_ends_in_time(clock, monkeypatch, trainer, seconds):
    """A step takes 0.1 seconds and a look at the validation rows 0.5: 50 seconds in all."""
    rates = []
    clock.slow_down(monkeypatch, "_epoch", lambda part: rates.extend(part) or 0.1 * len(part))
    clock.slow_down(monkeypatch, "_judge", lambda loss: 0.5)
    begin = clock.now
    with time_limit(seconds):
        result = trainer.fit()
    assert 0.8 * min(seconds, 50) <= clock.now - begin <= 1.1 * min(seconds, 52)
    assert result.n_steps == len(rates) == pytest.approx(min(400, 8 * seconds), rel=0.35)
    # the rate has come down, as at the end of any training
    assert rates[-1] < 0.05 * max(rates)
    if seconds == 200:
        np.testing.assert_array_equal(rates, learning_rates(trainer.options))


def test_draws_for_missing_cells_end_in_time(clock, monkeypatch):
    """Each block takes a second; rows that no time is left for keep what mixtures drew."""

    def slow(*args, **options):
        clock.now += 1
        return weighted_draws(*args, **options)

    X = np.random.RandomState(0).standard_normal((40, 2))
    density = CouplingFlowDensity(1, max_iter=1, component_weight=0, **SMALL).fit(X)._density
    X[2:, 1] = np.nan
    filled = np.where(np.isnan(X), 0.0, X)
    monkeypatch.setattr(questions, "weighted_draws", slow)
    monkeypatch.setattr(questions, "MOST_NUMBERS", 300)
    begin = clock.now
    with time_limit(20):
        drawn, log_q = draw_missing(density, X, np.random.RandomState(0), filled)
    assert 1 <= clock.now - begin <= 4
    new = (drawn[:, 1] != 0).all(axis=1)
    assert 2 < new.sum() < 40
    assert (drawn[~new] == filled[~new, :, None]).all()
    expected = [density.log_prob(copy) for copy in np.moveaxis(drawn, 2, 0)]
    assert log_q == pytest.approx(np.stack(expected, axis=1))
    # without a limit there is time for all of them
    drawn = draw_missing(density, X, np.random.RandomState(0), filled)[0]
    assert (drawn[:, 1] != 0).all()


def test_without_time_a_training_ends_at_once(clock, monkeypatch, trainer):
    clock.slow_down(monkeypatch, "_epoch", lambda part: 1.0)
    with time_limit(1e-9):
        assert trainer.fit().n_steps == FIRST_STEPS


QUICK = CouplingFlowDensity(component_weight=0, **SMALL)
WITH_T = CouplingFlowDensity(1, component_weight=0.1, **SMALL)  # fitted fold by fold
ESTIMATORS = {
    "density": CouplingFlowDensity(max_time=50, **SMALL),
    "missing": CouplingFlowDensity(max_time=50, component_weight=0, **SMALL),
    "detector of several": FlowOutlierDetector([("a", QUICK), ("b", WITH_T)], max_time=50),
    "detector": FlowOutlierDetector(max_time=50, random_state=0),
    "detector, trimmed": FlowOutlierDetector(max_time=50, trim=0.1, random_state=0),
    "regressor": FlowRegressor(max_time=50, mean_estimator=None, **SMALL),
    "imputer": FlowImputer(QUICK, max_time=50, random_state=0),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_trainings_of_a_fit_end_in_time(clock, monkeypatch, name):
    """Only trainings take time here, a second for each step, and would take thousands."""
    clock.slow_down(monkeypatch, "_epoch", len)
    X = np.random.default_rng(0).normal(size=(90, 3))
    if name in ("missing", "imputer"):
        X[::4, 1] = np.nan
    begin = clock.now
    ESTIMATORS[name].fit(X, X[:, 0] if name == "regressor" else None)
    # a fit of several parts starts each of them, and keeps time for what comes after the trainings
    assert 15 <= clock.now - begin <= 60
    assert math.isinf(time_left())


def test_where_time_is_short_missing_cells_are_drawn_from_mixtures(clock, monkeypatch):
    """A round takes ten seconds here: two in place of twelve, and no flow follows."""

    def slow(*args, **options):
        clock.now += 10
        return fit_component(*args, **options)

    monkeypatch.setattr("skflow._missing.fitting.fit_component", slow)
    trainings = []
    clock.slow_down(monkeypatch, "fit", lambda: trainings.append(clock.now) or 0)
    X, begin = np.random.default_rng(0).normal(size=(90, 3)), clock.now
    X[::4, 1] = np.nan
    CouplingFlowDensity(2, mask_layout="parity", max_time=50, max_iter=2, **SMALL).fit(X)
    assert [moment - begin for moment in trainings] == [20]


def test_trees_of_a_regressor_have_a_share_of_the_time(clock, monkeypatch):
    """A tree takes a tenth of a second here, and all 1800 would take three minutes."""
    fit = GradientBoostingRegressor.fit

    def slow(trees, *args, **options):
        clock.now += trees.n_estimators / 10
        return fit(trees, *args, **options)

    monkeypatch.setattr(GradientBoostingRegressor, "fit", slow)
    X, begin = np.random.default_rng(0).normal(size=(90, 3)), clock.now
    FlowRegressor(max_time=40, max_iter=1, n_estimators=1, **SMALL).fit(X, X[:, 0])
    assert 6 <= clock.now - begin <= 13


def test_candidates_of_a_search_are_trained_in_full(clock, monkeypatch):
    lengths = []
    clock.slow_down(monkeypatch, "_epoch", lambda part: lengths.append(len(part)) or len(part))
    search = masks.EvolutionarySearch(9, n_candidate_steps=8, initial_layout="parity")
    flow = CouplingFlowDensity(2, mask_layout=search, max_time=40, component_weight=0, **SMALL)
    flow.fit(np.random.default_rng(0).normal(size=(90, 3)))
    n_stacks = next(k for k, length in enumerate(lengths) if length != 8)
    assert n_stacks > 1 and flow.search_stop_reason_ == "max_time"
    assert 16 <= 8 * n_stacks <= 28


def test_what_ended_a_training_is_told(clock, monkeypatch):
    clock.slow_down(monkeypatch, "_epoch", len)
    X = np.random.default_rng(0).normal(size=(90, 3))
    patient = {"component_weight": 0, "training": Training(n_iter_no_change=None)}
    flow = CouplingFlowDensity(2, max_time=40, **patient, **SMALL).fit(X)
    assert "all that max_time allows" in flow.summary()
    assert "a larger max_time" in flow.summary()
    assert flow.n_iter_ == len(flow.loss_curve_) < 40
