"""
======================================
From the data to latent space and back
======================================

A flow is an invertible map between the rows of a table and a latent space in which they should be
standard normal. We look at both directions, check normality on held-out rows, and walk through the
latent space from one row to another.
"""

# %%
# A crescent
# ----------
#
# ``transform`` maps to the latent space, ``inverse_transform`` back. Colours show the position
# along the crescent, which the flow does not see.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from skflow import CouplingFlowDensity
from skflow.inspection import DensityDisplay, PairPlotDisplay, PITDisplay

rng = np.random.default_rng(0)
angle = np.pi / 2 + 0.5 * rng.standard_normal(8000)
radius = 1 + 0.1 * rng.standard_normal(8000)
X = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
X_train, X_test, _, angle_test = train_test_split(
    X, angle, test_size=0.5, random_state=0
)
flow = CouplingFlowDensity(max_iter=40, component_weight=0, random_state=0).fit(X_train)
Z_test = flow.transform(X_test)
print(
    "there and back, largest difference:",
    np.abs(flow.inverse_transform(Z_test) - X_test).max(),
)

circle = np.linspace(0, 2 * np.pi, 401)
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.8), layout="constrained")
for axis, rows in zip(axes, (X_test, Z_test)):
    axis.scatter(*rows.T, s=4, c=angle_test, cmap="viridis")
for size in (1, 2, 3):
    ring = size * np.column_stack([np.cos(circle), np.sin(circle)])
    axes[1].plot(*ring.T, color="#d55e00", linewidth=1)
    axes[0].plot(*flow.inverse_transform(ring).T, color="#d55e00", linewidth=1)
axes[0].set(title="data, held out", xlabel="feature 0", ylabel="feature 1")
axes[1].set(title="latent space", xlabel="latent 0", ylabel="latent 1", aspect="equal")
plt.show()

# %%
# The circles of radius 1, 2 and 3 in the latent space, and their images on the left, should contain
# 39, 86 and 99 % of the rows.
#
# Is it normal?
# -------------
#
# If the flow is right, latent features of new rows are standard normal (on training rows an
# overfitted flow looks right, too). Quantiles show the tails, probability integral transforms the
# bulk; their band contains all curves of a calibrated model with 95 % probability.

figure, axes = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
PITDisplay.from_estimator(flow, X_test, ax=axes[0], scale="normal")
calibration = PITDisplay.from_estimator(flow, X_test, ax=axes[1])
for name, distance in zip(calibration.names, calibration.distance_):
    print(f"{name}: fractions differ by at most {distance:.3f}")
plt.show()

# %%
# The curves leave the band: 4000 rows are enough to find such small differences. A flow trained for
# a single epoch is wrong in a way that matters:

hasty = CouplingFlowDensity(max_iter=1, component_weight=0, random_state=0).fit(X_train)
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
PITDisplay.from_estimator(hasty, X_test, ax=axes[0], scale="normal")
PITDisplay.from_estimator(hasty, X_test, ax=axes[1])
plt.show()

# %%
# Samples, the other direction of the same map, should mirror the data:

PairPlotDisplay.from_estimator(flow, X_test, random_state=0)
plt.show()

# %%
# A walk from row to row
# ----------------------
#
# The straight line between two rows may leave the data. The straight line between their latent
# points, mapped back, bends with the data. The lowest density on the way tells the paths apart.

order = angle_test.argsort()
start, end = X_test[order[[-40, 40]]]  # not the very ends: those are rare rows
steps = np.linspace(0, 1, 40)[:, None]
z_start, z_end = flow.transform([start, end])
paths = {
    "straight in the data": (1 - steps) * start + steps * end,
    "straight in latent space": flow.inverse_transform(
        (1 - steps) * z_start + steps * z_end
    ),
}
display = DensityDisplay.from_estimator(flow, X_train)
for (name, path), color in zip(paths.items(), ("#d55e00", "#222222")):
    display.ax_.plot(
        *path.T, color=color, marker="o", markersize=2.5, linewidth=1, label=name
    )
    print(f"{name}: lowest log-density {flow.score_samples(path).min():.1f} nats")
display.ax_.legend(loc="lower center", fontsize="small")
plt.show()

# %%
# This works because the crescent is connected. Between separate clusters such a path crosses a thin
# bridge without data, because a flow cannot tear the space.
