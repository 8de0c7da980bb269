"""
=========================
A first look, on one page
=========================

The script of the README: the density of a real table beside a mixture and a kernel density, its
most unusual rows with reasons, and the effect of the coupling structure on a small flow. Run as a
script, it saves its pictures and prints where.
"""

# %%
# The table
# ---------
#
# Ten measurements of 569 cell nuclei, all of them positive. A quarter of the rows is held out.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from skflow import CouplingFlowDensity, FlowOutlierDetector, Training, masks
from skflow.inspection import MaskDisplay

X = load_breast_cancer(as_frame=True).data.iloc[:, :10]
X.columns = X.columns.str.removeprefix("mean ")
X_train, X_test = train_test_split(X, random_state=0)

folder = Path("skflow_pictures")
folder.mkdir(exist_ok=True)


def show(figure, name):
    figure.savefig(folder / name, dpi=120)
    print("saved", folder / name)
    plt.show()


# %%
# How good is the density?
# ------------------------
#
# The mean log-density of held-out rows, in nats a row: higher is better. The number of components
# of the mixture and the bandwidth of the kernel are chosen by five folds of the training rows; the
# flow has its defaults. ``bounds`` states that no value is negative.

scaler = StandardScaler().fit(X_train)
shift = np.log(scaler.scale_).sum()  # densities of scaled rows -> of the rows
peers = {
    "Gaussian mixture": (
        GaussianMixture(reg_covar=1e-4, random_state=0),
        {"n_components": [1, 2, 3, 4, 6, 8, 12]},
    ),
    "kernel density": (KernelDensity(), {"bandwidth": np.geomspace(0.1, 1, 10)}),
}
held_out = {}
for name, (model, grid) in peers.items():
    chosen = GridSearchCV(model, grid, cv=KFold(5, shuffle=True, random_state=0))
    chosen.fit(scaler.transform(X_train))
    held_out[name] = (
        chosen.best_estimator_.score_samples(scaler.transform(X_test)) - shift
    )

flow = CouplingFlowDensity(bounds=(0, None), random_state=0).fit(X_train)
held_out["skflow"] = flow.score_samples(X_test)
for name, log_density in held_out.items():
    print(f"{name:20} {log_density.mean():6.2f} nats a row")
print()
print(flow.summary())

# %%
# Row by row: the log-density of the flow less that of the mixture.

gain = held_out["skflow"] - held_out["Gaussian mixture"]
means = {name: log_density.mean() for name, log_density in held_out.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
bars = left.barh(
    list(means), list(means.values()), color=["#999999", "#999999", "#0072b2"]
)
left.bar_label(bars, fmt="%.2f", padding=3)
left.set(xlabel="held-out log-density, nats a row", xlim=(0, 1.2 * max(means.values())))
right.hist(gain, 30, color="#0072b2")
right.axvline(0, color="#444444")
right.set(xlabel="more than the mixture, nats", ylabel="held-out rows")
show(figure, "density.png")

# %%
# Which rows are unusual, and why?
# --------------------------------
#
# The most unusual rows, with the column that is least consistent with the rest of the row: its
# value, and the range that would have been usual. Below, how surprising each value is, in nats.

detector = FlowOutlierDetector(random_state=0).fit(X_train)
report = detector.report(X_test, n=8)
print(report[["pvalue", "reason"]].round(3).to_string())

unusual = X_test.loc[report.index]
reasons = pd.DataFrame(detector.explain(unusual), unusual.index, unusual.columns)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
image = axis.imshow(reasons.T, cmap="Blues", vmin=0, aspect="auto")
axis.set_xticks(range(len(unusual)), unusual.index)
axis.set_yticks(range(len(X.columns)), X.columns)
axis.set(xlabel="row")
figure.colorbar(image, label="contribution, nats")
show(figure, "unusual_rows.png")

# %%
# Does the coupling structure matter?
# -----------------------------------
#
# A layer transforms some columns given the others. Which ones hardly matters for a deep flow of
# splines, but it does for the two simple layers of Gonsior et al. (2021). One grid compares a rule,
# random masks, masks derived from the data, a race of parity and these, and a search.

shallow = CouplingFlowDensity(
    n_layers=2,
    coupling="affine",
    hidden_layer_sizes=(),
    training=Training(batch_size=128, learning_rate_init=0.03),
    max_iter=100,
    component_weight=0,
    random_state=0,
)
layouts = {
    "parity": "parity",
    "random": "random",
    "derived": "derived",
    "race": "race",
    "searched": masks.EvolutionarySearch(
        n_iter=50, search_space="free", initial_layout="random"
    ),
}
grid = GridSearchCV(
    shallow,
    {"mask_layout": list(layouts.values())},
    cv=KFold(3, shuffle=True, random_state=0),
    refit=False,
).fit(X)
scores = pd.Series(grid.cv_results_["mean_test_score"], layouts)
print(scores.round(2).to_string())

figure, axes = plt.subplots(
    len(layouts), sharex=True, figsize=(7.5, 6), layout="constrained"
)
for axis, (name, layout) in zip(axes, layouts.items()):
    fitted = shallow.set_params(mask_layout=layout).fit(X)
    title = f"{name}: {scores[name]:.2f} nats a row"
    MaskDisplay.from_masks(fitted.masks_, feature_names=X.columns, name=title, ax=axis)
    if axis is not axes[0]:
        axis.get_legend().remove()
show(figure, "structure.png")
