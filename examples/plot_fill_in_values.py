"""
===============================================
Missing values: one question, and a whole table
===============================================

A density of all columns contains the density of any columns given any others. NaN means
unknown. We ask one question, fill a table several times, and look at the effect on a
result.
"""

# %%
# One question
# ------------
#
# Measurements of wines. The flow is fitted once; afterwards any columns can be known or
# unknown.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from skflow import CouplingFlowDensity, FlowImputer, Training
from skflow.inspection import ConditionalDisplay, DensityDisplay

X = load_wine(as_frame=True).data[
    ["alcohol", "color_intensity", "hue", "flavanoids", "proline"]
]
flow = CouplingFlowDensity(
    n_layers=3,
    bounds=(0, None),
    max_iter=40,
    training=Training(validation_fraction=0.2),
    random_state=0,
).fit(X)

# %%
# How many flavanoids does a wine with a given hue have? The grey area is the
# distribution if nothing is known. All other columns are integrated out.

rows = pd.DataFrame(np.nan, index=range(3), columns=X.columns)
rows["hue"] = [0.65, 0.95, 1.25]
ConditionalDisplay.from_estimator(flow, X, "flavanoids", rows)
plt.show()

# %%
# The same for two columns: ``DensityDisplay`` with NaN for unknown values, and draws,
# which are made jointly and keep the dependence.

row = rows[1:2].to_numpy()
display = DensityDisplay.from_estimator(
    flow,
    X,
    features=["color_intensity", "flavanoids"],
    at=row[0],
    grid_resolution=24,
    name="given hue 0.95",
)
draws, ess = flow.sample_given(rows[1:2], 200, random_state=0, return_ess=True)
drawn = pd.concat(draws)  # 200 frames like these rows
display.ax_.scatter(drawn["color_intensity"], drawn["flavanoids"], s=6, color="black")
print(f"chosen from weighted draws of which {ess[0]:.0f} count")
plt.show()

# %%
# A whole table
# -------------
#
# A third of the wines lose their flavanoids and hue, more often the more alcohol they
# have. So complete rows are not representative.

rng = np.random.default_rng(0)
rank = X["alcohol"].rank(pct=True)
incomplete = X.copy()
incomplete.loc[rng.uniform(size=len(X)) < 0.66 * rank, ["flavanoids", "hue"]] = np.nan
print(incomplete.isna().sum().to_string())

imputer = FlowImputer(flow, random_state=0).fit(incomplete)
filled = imputer.sample(incomplete, 20)  # a list of 20 frames

# %%
# A result with its uncertainty
# -----------------------------
#
# The slope of flavanoids on proline, by least squares. A single filled table is
# overconfident, because filled values count as if they had been measured. Rubin's rules
# average over several tables and add the variance between them to the variance within.


def slope(table):
    """The slope and the square of its standard error."""
    x, y = (np.asarray(table[name], dtype=float) for name in ("proline", "flavanoids"))
    x = (x - x.mean()) / 1000
    found = (x @ y) / (x @ x)
    residual = y - y.mean() - found * x
    return found, residual @ residual / (len(y) - 2) / (x @ x)


def rubin(tables):
    """Mean over tables, and its standard error."""
    slopes, variances = np.transpose([slope(table) for table in tables])
    total = variances.mean() + (1 + 1 / len(slopes)) * slopes.var(ddof=1)
    return slopes.mean(), np.sqrt(total)


means = imputer.transform(incomplete)
results = {
    "all values": slope(X),
    "rows without missing cells": slope(incomplete.dropna()),
    "filled with means": slope(means),
    "one draw": slope(filled[0]),
}
table = pd.DataFrame(results, index=["slope", "error"]).T
table["error"] **= 0.5
table.loc["20 draws, Rubin"] = rubin(filled)
print(table.round(2).to_string())

# %%
# Means have too little spread and make the slope look even more certain than one draw
# does; several draws show how uncertain it is. No imputer can detect whether a value is
# missing because of what it is.  Filled values (orange) beside the truth:

figure, axes = plt.subplots(
    1, 3, figsize=(9.5, 3.2), sharex=True, sharey=True, layout="constrained"
)
missing = incomplete["flavanoids"].isna().to_numpy()
for axis, (name, shown) in zip(
    axes, {"truth": X, "means": means, "a draw": filled[0]}.items()
):
    axis.scatter(
        *shown.loc[~missing, ["hue", "flavanoids"]].to_numpy().T, s=6, c="#bbbbbb"
    )
    axis.scatter(
        *shown.loc[missing, ["hue", "flavanoids"]].to_numpy().T, s=10, c="#d55e00"
    )
    axis.set(title=name, xlabel="hue")
axes[0].set_ylabel("flavanoids")
plt.show()
