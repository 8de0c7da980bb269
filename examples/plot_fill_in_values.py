"""
======================================
Missing values, drawn from the density
======================================

A density of all features gives the density of some of them given the others: hold the known values
fixed, and what remains, up to a constant, is the conditional density. skflow has no method for it,
but ``score_samples`` is all it takes. We fill in missing values by draws, check the sampler and the
flow against a Gaussian whose conditional density is known, and see where a mean misleads.
"""

# %%
# The sampler
# -----------
#
# One missing value at a time: put a grid of values into its place, score the rows, and draw from
# what the scores say by inverting the cumulative sum. For one missing value that is all. For
# several, go through them again and again, each given the present values of the others: Gibbs
# sampling, on a grid (Ritter and Tanner, 1992). It works for any model with ``score_samples``. The
# number of rows that are scored is that of incomplete rows, times grid points, times sweeps: it is
# for few missing values and not for large tables.

import numpy as np


def fill_in(model, X, low, high, *, n_grid=60, n_sweeps=20, seed=0):
    """Replace NaN by draws from the model's density given the row's other values.

    ``low`` and ``high``, of shape (n_features,), bound the values that are considered.
    """
    rng = np.random.default_rng(seed)
    missing, filled = np.isnan(X), X.copy()
    filled[missing] = rng.uniform(low, high, X.shape)[missing]
    edges = np.linspace(low, high, n_grid + 1)
    for _ in range(n_sweeps if missing.sum(axis=1).max() > 1 else 1):
        for j in np.flatnonzero(missing.any(axis=0)):
            rows = missing[:, j]
            centres = (edges[1:, j] + edges[:-1, j]) / 2
            grid = np.repeat(filled[rows], n_grid, axis=0)
            grid[:, j] = np.tile(centres, rows.sum())
            log_density = model.score_samples(grid).reshape(-1, n_grid)
            cumulative = np.exp(
                log_density - log_density.max(axis=1, keepdims=True)
            ).cumsum(axis=1)
            u = rng.uniform(size=(rows.sum(), 1)) * cumulative[:, -1:]
            cell = (cumulative < u).sum(axis=1)
            filled[rows, j] = rng.uniform(edges[cell, j], edges[cell + 1, j])
    return filled


# %%
# A check with a known answer
# ---------------------------
#
# Four correlated normal features, of which two are missing. Given the others they are normal, with
# a mean and a covariance that a formula gives. Draws from the exact Gaussian test the sampler
# alone; draws from a flow fitted to 4000 rows test both together.

import pandas as pd
from sklearn.mixture import GaussianMixture

from skflow import CouplingFlowDensity

covariance = np.array(
    [
        [1.0, 0.6, 0.3, -0.4],
        [0.6, 1.0, 0.5, 0.0],
        [0.3, 0.5, 1.0, 0.4],
        [-0.4, 0.0, 0.4, 1.0],
    ]
)
rows = np.random.default_rng(0).multivariate_normal(np.zeros(4), covariance, 4000)
exact = GaussianMixture(1)
exact.weights_, exact.means_, exact.covariances_ = (
    np.ones(1),
    np.zeros((1, 4)),
    covariance[None],
)
exact.precisions_cholesky_ = np.linalg.inv(np.linalg.cholesky(covariance)).T[None]
flow = CouplingFlowDensity(
    n_layers=4, hidden_layer_sizes=(32,), max_iter=30, tail_weight=0, random_state=0
).fit(rows)

known, sought = [2, 3], [0, 1]
values = np.array([1.0, -0.5])
gain = covariance[np.ix_(sought, known)] @ np.linalg.inv(
    covariance[np.ix_(known, known)]
)
mean = gain @ values
spread = covariance[np.ix_(sought, sought)] - gain @ covariance[np.ix_(known, sought)]

incomplete = np.full((600, 4), np.nan)
incomplete[:, known] = values
bounds = np.full(4, -4.5), np.full(4, 4.5)
table = {"formula": [*mean, *np.sqrt(np.diag(spread)), spread[0, 1]]}
for name, model in {"exact density": exact, "flow": flow}.items():
    draws = fill_in(model, incomplete, *bounds, n_sweeps=8)[:, sought]
    found = np.cov(draws.T)
    table[name] = [*draws.mean(axis=0), *np.sqrt(np.diag(found)), found[0, 1]]
names = ["mean of 0", "mean of 1", "deviation of 0", "deviation of 1", "covariance"]
print("Features 0 and 1, given that 2 is 1.0 and 3 is -0.5; 600 draws\n")
print(pd.DataFrame(table, index=names).round(2))

# %%
# With 600 draws the means are uncertain by about 0.03.
#
# Where a mean misleads
# ---------------------
#
# Two moons, of which only the horizontal position is known. Between -0.2 and 1.2 there are two
# places where the row may be, and the mean of the two is where it is not. Draws take both.

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.impute import KNNImputer

X, _ = make_moons(4000, noise=0.08, random_state=0)
X_train, X_test = X[:3000], X[3000:]
moons = CouplingFlowDensity(n_layers=4, max_iter=30, random_state=0).fit(X_train)
incomplete = X_test.copy()
incomplete[:, 1] = np.nan

low, high = X_train.min(axis=0) - 0.3, X_train.max(axis=0) + 0.3
filled = {
    "truth": X_test,
    "drawn from the flow": fill_in(moons, incomplete, low, high),
    "mean of 30 neighbours": KNNImputer(n_neighbors=30)
    .fit(X_train)
    .transform(incomplete),
}
figure, axes = plt.subplots(
    1, 3, figsize=(9.5, 3.3), sharex=True, sharey=True, layout="constrained"
)
for axis, (name, sample), color in zip(
    axes, filled.items(), ("#222222", "#0072b2", "#d55e00")
):
    axis.scatter(*sample.T, s=4, color=color)
    axis.set(title=name, xlabel="feature 0, known")
axes[0].set_ylabel("feature 1, missing")
plt.show()

# %%
# How likely the filled rows are, under the flow, says the same in one number. Where the task is a
# single guess with a small squared error, take the mean all the same: that is what a mean is best
# at, and a draw pays for its spread.

for name, sample in filled.items():
    error = np.sqrt(np.mean((sample[:, 1] - X_test[:, 1]) ** 2))
    score = moons.score(sample)
    print(
        f"{name:22} log-density {score:6.2f} nats, root mean squared error {error:.2f}"
    )
