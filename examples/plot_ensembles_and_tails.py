"""
=======================
Tails far from the data
=======================

A flow is trained where the data are. Far from them its density is an accident of the training, and
such rows dominate mean log-likelihoods. Two parameters of :class:`~skflow.CouplingFlowDensity`
help: ``component_weight`` mixes in distributions with heavier tails, and ``n_estimators`` averages
several flows.
"""

# %%
# A shift
# -------
#
# Ten measurements of cell nuclei. We fit benign tumours only, so malignant ones are rows of another
# distribution. Radius, perimeter and area are nearly functions of each other: a row can be far from
# the data in some direction although each of its values is usual.

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skflow import CouplingFlowDensity

cancer = load_breast_cancer()
X, benign = cancer.data[:, :10], cancer.target == 1
X_train, X_test = train_test_split(X[benign], test_size=0.3, random_state=0)
X_shifted = X[~benign]

# %%
# The fits
# --------
#
# With ``component_weight=0`` the density is that of the flow alone; four such fits differ only in
# ``random_state``. The default, "auto", chooses the weights of the components on validation rows,
# with a minimum for those with heavy tails. Trainings are short here.

import numpy as np

bare = [
    CouplingFlowDensity(component_weight=0, max_iter=50, random_state=seed).fit(X_train)
    for seed in range(4)
]
models = {
    "one flow, first seed": bare[0],
    "one flow, last seed": bare[-1],
    "four flows": CouplingFlowDensity(
        component_weight=0, n_estimators=4, max_iter=50, random_state=0
    ).fit(X_train),
    "one flow and tails": CouplingFlowDensity(max_iter=50, random_state=0).fit(X_train),
    "four flows and tails": CouplingFlowDensity(
        n_estimators=4, max_iter=50, random_state=0
    ).fit(X_train),
}
shifted = {name: model.score_samples(X_shifted) for name, model in models.items()}
table = pd.DataFrame(
    {
        "benign": [model.score(X_test) for model in models.values()],
        "malignant": [score.mean() for score in shifted.values()],
        "worst row": [score.min() for score in shifted.values()],
        "tails": [model.component_weight_ for model in models.values()],
    },
    index=models,
)
print(
    "Mean log-density in nats, the worst malignant row, and the weight of the tails\n"
)
print(table.round(2).to_string())

# %%
# With so few rows the components may get much of the weight: a flow alone is the worse density even
# for benign rows.
#
# A walk away from the data
# -------------------------
#
# From the benign mean we walk towards the malignant mean and beyond. Flows with different seeds
# agree near the data and disagree far from it. The average of four is at least as high as its
# highest member, less ``log(4)``. The components set a floor that falls slowly, so that rows far
# away can still be ranked.

import matplotlib.pyplot as plt

start, step = X_train.mean(axis=0), X_shifted.mean(axis=0) - X_train.mean(axis=0)
distance = np.linspace(0, 4, 161)
path = start + distance[:, None] * step

figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
single = np.transpose([flow.score_samples(path) for flow in bare])
lines = axis.plot(distance, single, color="#777777", linewidth=1.2, linestyle="--")
lines[0].set_label("one flow, four seeds")
for name, color in {"four flows": "#e69f00", "four flows and tails": "#0072b2"}.items():
    axis.plot(
        distance,
        models[name].score_samples(path),
        color=color,
        linewidth=2.2,
        label=name,
    )
axis.set(
    xlabel="distance from the benign mean (1: the malignant mean)",
    ylabel="log-density, nats (linear to ±100, then log)",
    xlim=(0, 4),
)
axis.set_yscale("symlog", linthresh=100)
axis.legend(frameon=False)
plt.show()
