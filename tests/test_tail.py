"""p-values below the least rank: calibration of the tail, with and without outliers, and errors."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control
from test_outlier import Distance, table

from skflow import FlowOutlierDetector
from skflow._outliers.conformal import ranks, tail_pvalues

#: Scores of ordinary rows: the logarithm of a part, and log-densities by the right model.
NULLS = {
    "parts": lambda rng, n: -rng.exponential(size=n),
    "normal": lambda rng, n: -rng.chisquare(5, n) / 2,
    "heavy-tailed": lambda rng, n: -2 * np.log1p(rng.standard_t(3, n) ** 2 / 3),
}


@pytest.mark.parametrize("null", NULLS)
def test_pvalues_of_the_tail_are_calibrated(null):
    rng = np.random.default_rng(0)
    draw, n_fits = NULLS[null], 15
    p = [tail_pvalues(draw(rng, 20_000), np.sort(draw(rng, 2000))) for _ in range(n_fits)]
    for level in [0.05, 0.01, 1e-3, 1e-4]:
        sizes = np.mean(np.array(p) <= level, axis=1)
        assert sizes.mean() <= 1.1 * level + 2 * sizes.std() / np.sqrt(n_fits)
        assert sizes.mean() > 0.5 * level or level < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_evenly_spread_scores_have_a_tail(seed):
    """The background of outliers that is looked for explains all of it."""
    rng = np.random.default_rng(seed)
    found = tail_pvalues(rng.uniform(size=20_000), np.sort(rng.uniform(size=1000)))
    assert 0.02 < np.mean(found <= 0.05) < 0.07


@pytest.mark.parametrize("null", NULLS)
def test_planted_outliers_are_selected_though_they_are_among_the_rows_set_aside(null):
    rng = np.random.default_rng(0)
    power, false = [], []
    for _ in range(10):
        scores = NULLS[null](rng, 17_000)
        scores[:200] = scores.min() - rng.uniform(0, 20, 200)
        aside = np.sort(rng.permutation(scores)[:3400])
        assert not (false_discovery_control(ranks(scores, aside)) <= 0.1).any()
        selected = false_discovery_control(tail_pvalues(scores, aside)) <= 0.1
        power.append(selected[:200].mean())
        false.append(selected[200:].sum() / max(1, selected.sum()))
    assert np.mean(power) > 0.8 and np.mean(false) < 0.1


def test_the_tail_goes_on_where_ranks_end():
    detector = FlowOutlierDetector(Distance(), calibration_fraction=0.5, random_state=0)
    detector = detector.fit(table(1200))
    new = np.vstack([table(200, seed=1), np.full((1, 3), 20.0)])
    plain, tail = detector.pvalue(new), detector.pvalue(new, tail=True)
    body = plain > 0.11
    np.testing.assert_array_equal(tail[body], plain[body])
    assert (np.argsort(tail[~body]) == np.argsort(detector.score_samples(new)[~body])).all()
    assert 0 < tail[-1] < 1e-4 and detector.select(new, fdr=0.1, tail=True)[-1]
    assert detector.report(new, fdr=0.1, tail=True).index[0] == 200


def test_a_tail_takes_rows_that_differ():
    with pytest.raises(ValueError, match="at least 500 calibration rows, but there are 10"):
        FlowOutlierDetector(Distance(), random_state=0).fit(table(50)).pvalue(table(2), tail=True)
    with pytest.raises(ValueError, match="needs scores that differ"):
        tail_pvalues(np.zeros(3), np.sort(np.repeat([-3.0, 0.0], [200, 800])))
