"""
==================================================
A shift in time: the years after those of training
==================================================

Rows that come later are seldom from the distribution that was fitted. What a density says of them
is what it says away from its data, and there flows need guards. Here is the case of a gas turbine:
the years 2011 to 2013 are fitted, and 2014 and 2015 scored.
"""

# %%
# The data
# --------
#
# Hourly means of ten sensors, in order of time; a tenth of the rows of the first three years is
# held out. Where the table is not on this machine, benign and then malignant tumours take its
# place: a shift, too, although not in time.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skflow import CouplingFlowDensity
from skflow.datasets import fetch_turbine

try:
    turbine = fetch_turbine(download_if_missing=False)
    X_train = turbine.data[turbine.fit_indices[:3000]]
    X_before, X_after = (
        turbine.data[np.sort(turbine[part])]
        for part in ("heldout_indices", "test_indices")
    )
    before, after = "2011 to 2013, held out", "2014 and 2015"
    n_blocks = 18, 24
except OSError:
    print("The turbine table is not here: tumours instead, benign and then malignant.")
    cancer = load_breast_cancer()
    X, benign = cancer.data[:, :10], cancer.target == 1
    X_train, X_before = train_test_split(X[benign], test_size=0.4, random_state=0)
    X_after = X[~benign]
    before, after = "benign, held out", "malignant"
    n_blocks = 6, 9

# %%
# The fits
# --------
#
# One flow alone, one with the broad components that are the default, and four of the latter. The
# trainings are short and on 3000 rows only, for the gallery.

import pandas as pd

quick = dict(n_layers=4, max_iter=16, random_state=0)
models = {
    "one flow alone": CouplingFlowDensity(tail_weight=0, **quick),
    "one flow and tails": CouplingFlowDensity(**quick),
    "four flows and tails": CouplingFlowDensity(n_estimators=4, **quick),
}
scores, rows = {}, {}
for name, model in models.items():
    model.fit(X_train)
    inside, outside = model.score_samples(X_before), model.score_samples(X_after)
    scores[name] = inside, outside
    rows[name] = [inside.mean(), outside.mean(), np.median(outside), outside.min()]
columns = [f"mean, {before}", f"mean, {after}", "median", "worst row"]
print("Log-density in nats\n")
print(pd.DataFrame(rows, index=columns).T.round(1).to_string())

# %%
# In distribution the three hardly differ. The later rows are another matter: the shift is real, no
# model of the first years can undo it, and medians fall as well. What the tails change is its
# price, above all that of the worst rows.
#
# Month by month
# --------------
#
# Means over parts of the table, of a month or two each. How much flows without tails disagree with
# each other away from the data is in the example on :ref:`broad tails
# <sphx_glr_auto_examples_plot_ensembles_and_tails.py>`.

import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7.5, 4), layout="constrained")
colors = ["#777777", "#e69f00", "#0072b2"]
for (name, parts), color, marker in zip(scores.items(), colors, "sDo"):
    means = [
        block.mean()
        for part, n in zip(parts, n_blocks)
        for block in np.array_split(part, n)
    ]
    axis.plot(means, color=color, marker=marker, markersize=4, label=name)
axis.axvspan(n_blocks[0] - 0.5, sum(n_blocks) - 0.5, color="#f0f0f0", zorder=0)
axis.set(
    xlabel="parts of the table, in order",
    ylabel="mean log-density, nats",
    xlim=(-0.5, sum(n_blocks) - 0.5),
)
for x, text in ((-0.5, before), (n_blocks[0] - 0.5, after)):
    axis.text(x, 1.01, text, transform=axis.get_xaxis_transform(), va="bottom")
axis.legend(frameon=False, loc="lower left")
plt.show()
