"""
==================================================
A shift in time: the years after those of training
==================================================

Later rows rarely come from the distribution that was fitted. Their scores depend on the density
away from its training data, where a flow alone is unreliable. Here a machine wears out: its first
two years are fitted, and the two years after them are scored.
"""

# %%
# The data
# --------
#
# Simulated, after the gas turbine of :mod:`skflow.datasets`: the load of a machine, the weather,
# and six sensors that depend on both, 150 rows a month. From the third year on the sensors drift. A
# fifth of the rows of the first two years is held out.

import numpy as np
import pandas as pd

from skflow import CouplingFlowDensity

rng = np.random.default_rng(0)
n_months, n_rows = 48, 150
month = np.repeat(np.arange(n_months), n_rows)
weather = np.cos(2 * np.pi * month / 12) + 0.4 * rng.standard_normal(len(month))
load = rng.beta(3, 2, len(month))
wear = np.clip(month - 24, 0, None) / 24  # from 0 to 1 in the last two years
drivers = np.column_stack([load, weather, load**2, load * weather])
sensors = drivers @ rng.standard_normal((4, 6))
sensors += wear[:, None] * rng.uniform(0.2, 1, 6)
sensors += 0.1 * rng.standard_normal(sensors.shape)
X = np.column_stack([load, weather, sensors])

later = month >= 24
held_out = ~later & (rng.uniform(size=len(X)) < 0.2)
X_train, X_before, X_after = X[~later & ~held_out], X[held_out], X[later]

# %%
# The fits
# --------
#
# One flow alone, one with components beside it (the default), and four of the latter, with short
# trainings.

quick = dict(n_layers=4, max_iter=16, random_state=0)
models = {
    "one flow alone": CouplingFlowDensity(component_weight=0, **quick),
    "one flow and tails": CouplingFlowDensity(**quick),
    "four flows and tails": CouplingFlowDensity(n_estimators=4, **quick),
}
scores, rows = {}, {}
for name, model in models.items():
    model.fit(X_train)
    inside, outside = model.score_samples(X_before), model.score_samples(X_after)
    scores[name] = inside, outside
    rows[name] = [inside.mean(), outside.mean(), np.median(outside), outside.min()]
columns = ["mean, years 1 and 2", "mean, years 3 and 4", "median", "worst row"]
print("Log-density in nats\n")
print(pd.DataFrame(rows, index=columns).T.round(1).to_string())

# %%
# On held-out rows of the first years the three hardly differ. On later rows the scores of all three
# fall, as they should: the shift is real. The components limit how far, above all for the worst
# rows.
#
# Month by month
# --------------
#
# The example on :ref:`tails <sphx_glr_auto_examples_plot_ensembles_and_tails.py>` shows how much
# flows without components disagree away from the data.

import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7.5, 4), layout="constrained")
colors = ["#777777", "#e69f00", "#0072b2"]
for (name, parts), color, marker in zip(scores.items(), colors, "sDo"):
    scored = pd.Series(np.concatenate(parts), np.r_[month[held_out], month[later]] + 1)
    means = scored.groupby(level=0).mean()
    axis.plot(means, color=color, marker=marker, markersize=4, label=name)
axis.axvspan(24.5, 48.5, color="#f0f0f0", zorder=0)
axis.set(xlabel="month", ylabel="mean log-density, nats", xlim=(0.5, 48.5))
for x, text in ((0.5, "held out"), (24.5, "after the years of training")):
    axis.text(x, 1.01, text, transform=axis.get_xaxis_transform(), va="bottom")
axis.legend(frameon=False, loc="lower left")
plt.show()

# %%
# When does it show?
# ------------------
#
# Nobody knows the month in which the wear begins. The detector ranks each row, as it comes, among
# rows that it has set aside and those before it. What a bet against ranks that are uniform has won
# is evidence of a shift: while nothing changes, it reaches 100 in at most one stream of 100.

from skflow import FlowOutlierDetector
from skflow.inspection import ShiftDisplay

flow = CouplingFlowDensity(**quick)
detector = FlowOutlierDetector(flow, random_state=0).fit(X_train)
stream = np.sort(rng.choice(np.flatnonzero(held_out | later), 3000, replace=False))
display = ShiftDisplay.from_estimator(detector, X[stream], times=month[stream] + 1)
display.ax_.set(xlabel="month")
print(
    f"An alarm in month {month[stream][display.alarm_] + 1}; wear begins in month 26."
)
plt.show()
