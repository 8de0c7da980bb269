"""
===========================================
Four kinds of outliers, and what finds them
===========================================

A row can be unusual because its values are inconsistent, because no other row is near, or because
its values lie far out. :class:`~skflow.FlowOutlierDetector` has a scorer for each, and the most
extreme of the scores dominates. Errors of four kinds show what each scorer detects.
"""

# %%
# The data
# --------
#
# 1500 simulated readings of a machine: its speed in steps of 0.1, its load, its power, which
# follows from these up to a small error, and its vibration, about 2 or about 5 depending on the
# tool in use.

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
# - Broken dependence: the power is 0.35 too high, a fifth of its standard deviation.
# - Between two states: a vibration of 3.5, which neither tool produces. Every value is in range.
# - Typing error: a speed of 52.0 instead of 20.5.
# - Far cluster: another machine, whose power is consistent with its speed and load.

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
# Scores
# ------
#
# The score of a scorer is the logarithm of the fraction of ordinary rows that are at least as
# unusual: -7 means one row in 1100. The score of a row combines them and is close to the lowest.

from skflow import FlowOutlierDetector

detector = FlowOutlierDetector(random_state=0).fit(X)
report = detector.report(errors, details=True).loc[errors.index]
scores = [f"score_{name}" for name in detector.densities_]
shown = report[["score", *scores, "density", "pvalue"]].round(3)
print(shown.rename(columns=lambda name: name.removeprefix("score_")).to_string())

# %%
# The flow detects the broken dependence at once; to the nearest rows and the tails it is nothing
# special. Between the two states a flow leaves a bridge, because it maps one connected cloud to
# another; there the distance to the nearest rows is better. Rows far from all others are found by
# all scorers, least by the tails, which only count how many rows are as far out.

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
# The report names the column that is inconsistent with the rest of the row and the range that would
# have been usual, in a sentence. The flow gives the reasons. A range has no hole: that of the
# vibration spans both states, so the value between them lies inside it.

print(report[["pvalue", "reason"]].round(3).to_string())
