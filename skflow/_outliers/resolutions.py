"""Scorers of one table that see different things.

A row can be unusual because its values do not go together, because no other row is near, or because
its values lie far out, and no single scorer is right for all three. So each has a say, in a common
unit (``rarity``).
"""

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from .._core.checks import warn_of
from .._core.deadline import in_turn, share_of_time, time_limit
from .._missing.questions import ROUGH
from .._nn.recipe import batch_size
from .._table.columns import (
    constant_columns,
    copied_columns,
    few_valued_columns,
)
from ..density import CouplingFlowDensity
from .detectors import can_score, fit_scorer
from .flow_stacks import fit_side_by_side
from .scorers import Neighbours, Tails, log_rarity_afar

#: Each density is fitted to all folds of the rows but one, which it scores, fold by fold.
N_FOLDS = 4
#: Optimizer steps of a flow, within bounds on epochs. Detection does not need the last hundredth of
#: a nat, which takes 5000.
N_STEPS, MIN_EPOCHS, MAX_EPOCHS = 640, 10, 60
#: What the flow, the nearest rows and the tails weigh. The more columns there are than so many, the
#: more of a row's tails is chance: with twice as many they weigh a quarter.
WEIGHTS, FEW_COLUMNS = (1.0, 2.0, 2.0), 6


def default_flow(n_rows, n_columns):
    """The flow of the default for a table of such a shape, which gives the reasons."""
    n_epochs = np.clip(N_STEPS * batch_size(n_rows) // n_rows, MIN_EPOCHS, MAX_EPOCHS)
    return CouplingFlowDensity(4, dequantize=True, component_weight=0, max_iter=int(n_epochs))


def default_densities(n_rows, n_columns, categories=()):
    """The detector's scorers for a table of such a shape, and their weights.

    The flow's likelihood, which sees values that do not go together; the nearest rows, which see
    what lies by itself; the tails of the columns, which see values far out.
    """
    flow = default_flow(n_rows, n_columns)
    coded = tuple(categories)
    scorers = [("flow", flow), ("neighbours", Neighbours(coded)), ("tails", Tails(coded))]
    return scorers, np.array(WEIGHTS) * [1, 1, min(1, FEW_COLUMNS / n_columns) ** 2]


def trimming_scores(X, categories=()):
    """Scores ``(n,)`` that say which rows to trim: those far from most rows, or far out."""
    nearest = Neighbours(tuple(categories), random_state=0).fit(X)
    return log_rarity_afar(nearest._encoded(X), X, tuple(categories))


def warn_of_columns(X, names):
    """Say of columns that decide by themselves what is an outlier, and how to avoid it."""
    constant = constant_columns(X)
    found = (
        (
            few_valued_columns(X) & ~constant,
            "of few values, at most one in 20 rows. A row can be an outlier by a rare one alone, "
            "or by one that is inconsistent with the rest of the row; leave out codes, years and "
            "the like if that is not what you look for.",
        ),
        (
            constant,
            "constant: a row with any other value there is an outlier, whatever else it has.",
        ),
        (
            copied_columns(X) & ~constant,
            "a copy of another column, perhaps in another unit: rows in which the two differ are "
            "outliers, and others are harder to find. Leave the copies out.",
        ),
    )
    warn_of(found, names)


def check_pairs(densities):
    names = [pair[0] for pair in densities if isinstance(pair, tuple) and len(pair) == 2]
    if not names or len(names) < len(densities) or len({*names}) < len(names):
        raise ValueError(
            f"density={densities!r} is not possible. Give one density, or a list of pairs "
            '("name", density), each name once.'
        )
    for name, density in densities:
        if not can_score(density):
            raise ValueError(
                f"The density named {name!r} is {density!r}, but has to have the methods fit and "
                "score_samples, or be a detector with decision_function. Give a flow, a mixture, a "
                "pipeline that ends with one, ..."
            )


def folds(n_rows, rng):
    """Rows held out in each fold, and the others, as lists of arrays.

    The folds have equal sizes, so that flows of all folds can be members of one stack; where the
    sizes do not divide, some rows are in two of them.
    """
    if n_rows < 2 * N_FOLDS:
        raise ValueError(
            f"Several densities are fitted to {N_FOLDS} folds of the rows, which takes at least "
            f"{2 * N_FOLDS} of them besides those set aside, but there are {n_rows}. Give more "
            "rows, or a single density."
        )
    size = -(-n_rows // N_FOLDS)
    order = rng.permutation(n_rows)
    held_out = [order[np.arange(f * size, (f + 1) * size) % n_rows] for f in range(N_FOLDS)]
    return held_out, [np.setdiff1d(order, rows) for rows in held_out]


def fit_scorers(densities, X, every_row, table, held_out, others, default):
    """Fit every density to the rows outside each fold.

    Parameters
    ----------
    densities : list of (str, estimator)
    X : ndarray of shape (n, d)
        Codes, of the rows that all scorers take.
    every_row : ndarray of shape (m, d)
        With those that only scorers which judge known columns take.
    table : Table
    held_out, others : list of ndarray
        Of ``folds``.
    default : bool
        Whether all densities are ours, and take codes. Others get tables like that of ``fit``.

    Returns
    -------
    fitted : dict of str to list of estimator
        One estimator for each fold; of a scorer that scores its own rows like others, a single one.
    of_codes : list of str
        Names of the densities that are fitted to codes.
    """
    flows = {name: flow for name, density in densities if (flow := _bare_flow(density))}
    n_trained = sum(any("max_time" in key for key in one.get_params()) for _, one in densities)
    # what has no limit of its own, such as the nearest rows, takes little
    with time_limit(share_of_time(0.9 * len(flows) / max(1, n_trained))):
        members = fit_side_by_side(flows, X, table, others, held_out)
    of_codes = [name for name, _ in densities if default or name in flows]
    fitted = {}
    for name, density in in_turn(densities):
        own_rows = hasattr(density, "scores_own_rows")
        parts = [every_row] if own_rows else [X[rows] for rows in others]
        own = members.get(name, [None] * len(parts))
        fitted[name] = [
            _fit(density, flow, rows, rows if name in of_codes else table.frame(rows))
            for flow, rows in in_turn(list(zip(own, parts)))
        ]
    return fitted, of_codes


def _bare_flow(density):
    """A bare flow that the density is, or that its pipeline starts with; otherwise None.

    Components beside a flow take weights of its own, so that one with them is fitted by itself, and
    so is one that has its own idea of which columns are categories.
    """
    first = density.steps[0][1] if isinstance(density, Pipeline) else density
    if not isinstance(first, CouplingFlowDensity) or first.component_weight != 0:
        return None
    return first if isinstance(first.categorical_features, str) else None


def _fit(density, flow, codes, rows):
    """A density fitted to ``rows``; ``flow``, if any, is its part that is fitted already."""
    if flow is None:
        return fit_scorer(clone(density), rows)
    if not isinstance(density, Pipeline):
        return flow
    rest = clone(density[1:]).fit(flow._density.to_latent(codes))
    return Pipeline([(density.steps[0][0], flow), *rest.steps])


def score_codes(density, X):
    """Scores ``(n,)`` of rows of codes by a density that was fitted to codes."""
    if isinstance(density, CouplingFlowDensity):
        return density._log_prob(X, ROUGH)  # ranks of them count
    if isinstance(density, Pipeline) and isinstance(density[0], CouplingFlowDensity):
        return density[1:].score_samples(density[0]._density.to_latent(X))
    return density.score_samples(X)
