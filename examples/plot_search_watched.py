"""
===========================
A structure search, watched
===========================

:class:`~skflow.StructureSearchFlow` looks for masks that suit the data by training many short-lived
flows (after Algorithm 1 of Gonsior et al., 2021). We look at its costs, the masks before and after,
and the gain on held-out rows. It starts at random, as in the paper; by default it starts from the
winner of a race of parity and derived masks.
"""

# %%
# The data
# --------
#
# Simulated, so that we know what there is to find: six quantities are measured twice, with noise. A
# coupling layer can use one measurement to predict the other only if its mask separates them, and
# the columns are ordered so that parity separates none of the six pairs.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
quantities = rng.standard_normal((5000, 6))
measured = np.hstack([quantities, quantities]) + 0.2 * rng.standard_normal((5000, 12))
names = np.array("a1 b1 c1 d1 e1 f1 a2 b2 c2 d2 e2 f2".split())
order = [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]
table = pd.DataFrame(measured[:, order], columns=names[order])
X, X_test = table.iloc[:4000], table.iloc[4000:]
print(*table.columns)

# %%
# The search
# ----------
#
# Two layers with the paper's conditioners, ``tanh(W x + b)``, so simple that it matters which
# features condition which, and no components, which would compensate for a poor structure.
# ``verbose=1`` shows a bar; interrupting ends the search and trains the best structures so far. A
# few structures with the lowest costs are trained in full, and the best of these is kept.

from skflow import StructureSearchFlow, Training
from skflow.inspection import MaskDisplay, SearchHistoryDisplay, TrainingCurveDisplay

settings = dict(
    n_layers=2,
    coupling="affine",
    hidden_layer_sizes=(),
    training=Training(batch_size=256),
    max_iter=20,
    component_weight=0,
)
start = dict(initial_layout="random", candidate_score="validation")
search = StructureSearchFlow(n_search_iter=200, random_state=0, **start, **settings)
search = search.fit(X)

# %%
# Each point is a candidate trained for 50 steps. Most offspring of a good structure are worse. Very
# bad or diverged candidates are marked at the edge.

import matplotlib.pyplot as plt

SearchHistoryDisplay.from_estimator(search)
plt.show()

# %%
# The masks
# ---------
#
# Each row is a layer; data enter at the top. The second mask is the complement of the first. Of
# every pair one measurement should be dark and the other light.

figure, axes = plt.subplots(2, 1, figsize=(7, 4.2), layout="constrained")
MaskDisplay.from_masks(
    search.initial_masks_,
    feature_names=X.columns,
    name="before: drawn at random",
    ax=axes[0],
)
MaskDisplay.from_estimator(search, name="after 200 iterations", ax=axes[1])
axes[0].set_xticks([])
axes[1].get_legend().remove()
plt.show()

# %%
# The flow that was trained with them:

TrainingCurveDisplay.from_estimator(search)
plt.show()

# %%
# Does it pay?
# ------------
#
# The search keeps the lowest of many noisy costs, so only held-out rows can tell. With
# ``warm_start=True`` a search continues where it ended: we stop it several times and score the flow
# trained so far, for three seeds.

from skflow import CouplingFlowDensity

stages = [1, 10, 25, 50, 200]
scores = {}
for seed in range(3):
    watched = StructureSearchFlow(
        warm_start=True, random_state=seed, **start, **settings
    )
    for n_search_iter in stages:
        watched.set_params(n_search_iter=n_search_iter).fit(X)
        scores[n_search_iter, seed] = watched.score(X_test)
    for layout in ("parity", "derived"):
        flow = CouplingFlowDensity(
            mask_layout=layout, random_state=seed, **settings
        ).fit(X)
        scores[layout, seed] = flow.score(X_test)

scores = pd.Series(scores).unstack()
scores.columns = [f"seed {seed}" for seed in scores.columns]
print("Held-out log-density in nats: after so many iterations, and without a search\n")
print(scores.loc[[*stages, "parity", "derived"]].round(2))

# %%
# Once every pair is separated there is nothing left to find, and lower costs are luck. The derived
# structure, which takes less than a second, separates them from the start. On real tables
# differences are smaller and less clear; see the page on structure.

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
found = scores.loc[stages]
style = {"color": "#0072b2", "marker": "o", "linewidth": 1}
lines = axis.plot(stages, found, **style)
rules = {"parity": "#d55e00", "derived": "#009e73"}
levels = [
    axis.hlines(scores.loc[name], *stages[::4], color=color, linestyle="--")
    for name, color in rules.items()
]
axis.legend(
    [lines[0], *levels],
    ["searched", *rules],
    title="three seeds each",
    loc="center right",
    frameon=False,
)
axis.set(xlabel="iterations of the search", ylabel="held-out log-density, nats a row")
plt.show()
