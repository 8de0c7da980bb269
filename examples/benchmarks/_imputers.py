"""Imputers that the benchmark of missing values compares: points and draws.

Each is a function ``(train, test, seed, draw=True) -> (point, draws)`` of standardised rows with
NaN: the filled rows ``(n, d)``, and of methods that draw, where it is asked for, the rows as filled
several times ``(n, d, m)``, else None. Peers of other packages are imported where they are used.
"""

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skflow import FlowImputer

N_DRAWS = 50
N_CHAINED = 19  # each of these fits trees of its own; 19 draws have a 5 % and a 95 % quantile
N_ROUNDS, N_LENDERS = 5, 5  # of chains; rows of which one lends its value
N_STEPS = 2000  # of the autoencoder


def whole_rows(X):
    return X[~np.isnan(X).any(axis=1)]


def skflow(train, test, seed, draw=True):
    imputer = FlowImputer(random_state=seed).fit(train)
    draws = imputer.sample(test, N_DRAWS, random_state=seed) if draw else None
    return imputer.transform(test), draws


def ridge(train, test, seed, draw=True):
    """The point without draws, as its mean; draws as multiple imputation with it has them."""
    point = IterativeImputer(random_state=seed).fit(train).transform(test)
    if not draw:
        return point, None
    draws = [
        IterativeImputer(sample_posterior=True, random_state=seed + k).fit(train).transform(test)
        for k in range(N_DRAWS)
    ]
    return point, np.stack(draws, axis=2)


def trees(train, test, seed, draw=True):
    forest = ExtraTreesRegressor(50, min_samples_leaf=3, random_state=seed)
    return _filled(IterativeImputer(forest, max_iter=5, random_state=seed), train, test)


def chained_trees(train, test, seed, draw=True):
    """Chained boosted trees with predictive mean matching (miceforest), five rounds.

    They are fitted to training and test rows together, with the missing cells of both: rows that
    come later keep their first, random values in the other columns there (version 6.0.5).
    """
    draws = chained(np.vstack([train, test]), N_CHAINED, seed)[len(train) :]
    return draws.mean(axis=2), draws


def chained(X, n_draws, seed):
    """The rows as chained trees fill them ``(n, d, n_draws)``."""
    import miceforest
    import pandas as pd

    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    kernel = miceforest.ImputationKernel(table, num_datasets=n_draws, random_state=seed)
    kernel.mice(N_ROUNDS, num_threads=1)
    return np.stack([kernel.complete_data(k).to_numpy() for k in range(n_draws)], axis=2)


def matching(train, test, seed, draw=True):
    """Predictive mean matching by chained linear regressions, the default of R's mice."""
    draws = matched(np.vstack([train, test]), N_DRAWS, seed)[len(train) :]
    return draws.mean(axis=2), draws


def matched(X, n_draws, seed):
    """The rows as matching fills them ``(n, d, n_draws)``: values of rows that are predicted alike.

    The rows that lend their values are predicted by the coefficients of least squares (with a
    ridge of 1e-5, as in mice), those that borrow by coefficients drawn from their posterior.
    """
    rng, missing = np.random.default_rng(seed), np.isnan(X)
    draws = np.repeat(X[:, :, None], n_draws, axis=2)
    for table in np.moveaxis(draws, 2, 0):
        for j in range(X.shape[1]):
            table[missing[:, j], j] = rng.choice(X[~missing[:, j], j], missing[:, j].sum())
        for j in np.tile(np.flatnonzero(missing.any(axis=0)), N_ROUNDS):
            design, own = np.insert(np.delete(table, j, axis=1), 0, 1.0, axis=1), missing[:, j]
            A, y = design[~own], X[~own, j]
            gram = A.T @ A
            inverse = np.linalg.inv(gram + 1e-5 * np.diag(np.diag(gram)))
            found = inverse @ A.T @ y
            dof = max(len(A) - A.shape[1], 1)
            size = np.sqrt(((y - A @ found) ** 2).sum() / rng.chisquare(dof))
            drawn = found + size * np.linalg.cholesky(inverse) @ rng.standard_normal(len(found))
            away = np.abs((design[own] @ drawn)[:, None] - A @ found)
            lenders = np.argpartition(away, N_LENDERS - 1, axis=1)[:, :N_LENDERS]
            table[own, j] = y[
                lenders[np.arange(own.sum()), rng.integers(N_LENDERS, size=own.sum())]
            ]
    return draws


def autoencoder(train, test, seed, draw=True):
    """MIWAE (Mattei and Frellsen 2019) of hyperimpute, with the sizes of its paper.

    The point is the mean of twenty of its imputations, which are weighted means of ten draws. It
    keeps to one thread: on a busy machine a second one makes it a hundred times as slow.
    """
    import pandas as pd
    import torch
    from hyperimpute.plugins.imputers.plugin_miwae import MIWAEPlugin

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    n_rows, n_columns = train.shape
    batch = min(256, n_rows)
    model = MIWAEPlugin(
        n_epochs=N_STEPS // (n_rows // batch),
        batch_size=batch,
        latent_size=min(10, n_columns - 1),
        n_hidden=128,
        random_state=seed,
    )
    model._fit(pd.DataFrame(train))  # what its `fit` calls, without a copy of the settings
    filled = [np.array(model._transform(pd.DataFrame(test))) for _ in range(20)]
    torch.set_num_threads(n_threads)
    return np.mean(filled, axis=0), None


def vine(train, test, seed, draw=True):
    """Vine copulas of nonparametric pairs with kernel margins (pyvinecopulib), whole rows.

    A vine answers for one set of known columns, so that each pattern of missing cells has one of
    its own.
    """
    import pyvinecopulib

    whole = whole_rows(train)
    draws = np.repeat(test[:, :, None], N_DRAWS, axis=2)
    missing = np.isnan(test)
    for pattern in np.unique(missing[missing.any(axis=1)], axis=0):
        rows = np.flatnonzero((missing == pattern).all(axis=1))
        known = (np.flatnonzero(~pattern) + 1).tolist()
        pairs = [pyvinecopulib.BicopFamily.tll, pyvinecopulib.BicopFamily.indep]
        controls = pyvinecopulib.FitControlsVinecop(family_set=pairs)
        controls.conditioning_set = known
        fitted = pyvinecopulib.Vinedist.from_data(whole, controls)
        given = np.repeat(test[np.ix_(rows, ~pattern)], N_DRAWS, axis=0)
        drawn = fitted.sample_conditional(given, conditioning_set=known, seeds=[seed + 1])
        drawn = drawn.reshape(len(rows), N_DRAWS, -1).transpose(0, 2, 1)
        draws[np.ix_(rows, pattern)] = drawn[:, pattern]
    return draws.mean(axis=2), draws


def neighbours(train, test, seed, draw=True):
    return _filled(KNNImputer(n_neighbors=10), train, test)


def mean(train, test, seed, draw=True):
    return _filled(SimpleImputer(), train, test)


def _filled(imputer, train, test):
    return imputer.fit(train).transform(test), None


IMPUTERS = {
    "skflow": skflow,
    "iterative ridge": ridge,
    "iterative trees": trees,
    "matching": matching,
    "chained trees": chained_trees,
    "autoencoder": autoencoder,
    "vine": vine,
    "neighbours": neighbours,
    "mean": mean,
}
