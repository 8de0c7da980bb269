"""
====================
Two targets at once
====================

Two regressors give the distribution of each of two targets. If the targets depend on each other
beyond what the features explain, that is not enough. :class:`~skflow.FlowRegressor` takes a ``y``
with several columns and learns their joint density: here length and width of an iris's petals,
given those of its sepals.
"""

# %%
# One joint density or two
# ------------------------
# The same flowers, with both targets and with a regressor for each. Log-densities of independent
# targets add up; on held-out flowers the joint density is higher.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

from skflow import FlowRegressor

iris = load_iris(as_frame=True).data
X, Y = iris.iloc[:, :2], iris.iloc[:, 2:]
train = np.arange(len(X)) % 3 > 0
regressor = FlowRegressor(mean_estimator=None, random_state=0)
joint = regressor.fit(X[train], Y[train])
apart = [
    FlowRegressor(mean_estimator=None, random_state=0).fit(X[train], Y.loc[train, name])
    for name in Y
]
together = joint.score_samples(X[~train], Y[~train]).mean()
alone = sum(
    one.score_samples(X[~train], Y.loc[~train, name]).mean()
    for one, name in zip(apart, Y)
)
print(
    f"mean log-density of held-out flowers: {together:.2f} jointly, {alone:.2f} apart"
)

# %%
# Draws of one flower
# -------------------
# Sepals of 6 by 3 cm do not determine the species. Joint draws lie where flowers are; draws of each
# target by itself combine long petals with narrow ones.

flower = X.iloc[:1].assign(**{"sepal length (cm)": 6.0, "sepal width (cm)": 3.0})
drawn = {
    "both together": joint.sample_y(flower, 300)[0],
    "each by itself": np.stack(
        [one.sample_y(flower, 300, random_state=k)[0] for k, one in enumerate(apart)]
    ),
}
figure, axes = plt.subplots(
    1, 2, figsize=(7, 3.2), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, (length, width)) in zip(axes, drawn.items()):
    ax.scatter(*Y.to_numpy().T, s=12, color="0.75", label="all flowers")
    ax.scatter(length, width, s=6, alpha=0.5, label="drawn for 6 by 3 cm")
    ax.set(xlabel=Y.columns[0], title=name)
axes[0].set_ylabel(Y.columns[1])
_ = axes[0].legend(loc="upper left", frameon=False)

# %%
# Questions about both
# --------------------
# Draws answer questions about both targets: how likely is a petal longer than 4.5 cm that is
# narrower than 1.5 cm?

for name, (length, width) in drawn.items():
    print(f"{name}: {np.mean((length > 4.5) & (width < 1.5)):.2f}")

# %%
# Means, standard deviations and intervals are those of each target.

mean, std = joint.predict(flower, return_std=True)
print("mean", mean.round(2), "standard deviation", std.round(2))
print("80 % intervals", joint.predict_interval(flower, coverage=0.8).round(2).tolist())
