"""
============================
Unusual at which resolution?
============================

A row can be unusual in the finest detail or only from afar. :class:`~skflow.FlowOutlierDetector`
scores rows by four densities, from fine to coarse, and a row is about as unusual as it is to the
one that finds it most unusual. Errors of four kinds show what each of them sees.
"""

# %%
# The data
# --------
#
# A machine is read out 1500 times: its speed, in steps of 0.1; its load; its power, which follows
# from these up to a small error; and its vibration, about 2 or about 5, as one of two tools is in
# use.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 1500
speed = rng.integers(100, 401, n) / 10
load = rng.uniform(0.2, 1, n)
power = (speed / 10) ** 1.5 * load + 0.05 * rng.standard_normal(n)
vibration = np.where(rng.random(n) < 0.5, 2.0, 5.0) + 0.3 * rng.standard_normal(n)
X = pd.DataFrame({"speed": speed, "load": load, "power": power, "vibration": vibration})
X = X.round(3)

# %%
# Errors
# ------
#
# - A broken dependence: the power is 0.35 too high, a fifth of its standard deviation.
# - Between two states: a vibration of 3.5, which neither tool has. Its values are in range, and all
#   else is as usual.
# - A typing error: 52.0 instead of 20.5, a speed on the grid of speeds, but that of no row.
# - A far cluster: another machine. Its power does go with speed and load.

errors = pd.DataFrame(
    {
        "broken dependence": [25.0, 0.6, 2.722, 5.1],
        "between two states": [25.0, 0.6, 2.372, 3.5],
        "typing error": [52.0, 0.5, 1.468, 2.0],
        "far cluster": [45.0, 0.6, 5.728, 8.0],
    },
    index=X.columns,
).T

# %%
# What each resolution says
# -------------------------
#
# A score is the logarithm of the part of ordinary rows that are as unusual to a density: at -7 one
# row in 1100 is. The score of the row is the logarithm of the harmonic mean of the four parts, near
# the lowest.

from skflow import FlowOutlierDetector

detector = FlowOutlierDetector(random_state=0).fit(X)
report = detector.report(errors).loc[errors.index]
scores = [f"score_{name}" for name in detector.densities_]
shown = report[["score", *scores, "density", "pvalue"]].round(3)
print(shown.rename(columns=lambda name: name.removeprefix("score_")).to_string())

# %%
# The flow's likelihood sees the broken dependence at once; the kernel, in which rows a third of a
# standard deviation apart are neighbours, sees nothing. Between the two states a flow leaves a
# bridge, since it maps one connected cloud to another: there the kernel is the one to ask. What is
# far from all rows is seen by all, best by the kernel in a flow's latent space.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for axis, (name, row) in zip(axes, report.iterrows()):
    lowest = np.array(list(detector.densities_)) == row["density"]
    axis.barh(
        list(detector.densities_),
        -row[scores].astype(float),
        color=np.where(lowest, "#d55e00", "#888888"),
    )
    axis.axvline(3, color="#333333", linestyle="--", linewidth=1)
    axis.set(title=name, xlabel="minus the score")
    axis.invert_yaxis()
axes[0].text(3.3, 1.2, "one row in 20", color="#333333")
for axis in axes[1:]:
    axis.set_yticks([])
plt.show()

# %%
# Reasons
# -------
#
# The report names the column that does not go with the rest of the row, and what would have been
# usual there. It names none where the surprise of each is small: the flow, which gives the reasons,
# takes little offence at a vibration between two states.

reasons = ["column_1", "value_1", "usual_from_1", "usual_to_1", "nats_1"]
print(report[reasons].round(2).to_string())
