"""
=======================================
Outliers, their p-values and the reason
=======================================

:class:`~skflow.FlowOutlierDetector` scores rows by their density, turns scores into p-values that
hold for any density, selects outliers at a false discovery rate, and names the features that make a
row unusual.
"""

# %%
# The data
# --------
#
# Ten measurements of cell nuclei. The detector is fitted to benign samples only. New rows are other
# benign samples, whose p-values should be uniform, and malignant samples.

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

cancer = load_breast_cancer(as_frame=True)
X, benign = cancer.data.iloc[:, :10], cancer.target == 1
X.columns = [name.removeprefix("mean ") for name in X]
X_train, X_benign = train_test_split(X[benign], test_size=0.3, random_state=0)
X_malignant = X[~benign]

# %%
# The fit
# -------
#
# Two fifths of the rows are set aside to calibrate the p-values, and the density is fitted to the
# other 149. With 100 calibration rows the smallest possible p-value is 1/101.

from skflow import FlowOutlierDetector

detector = FlowOutlierDetector(calibration_fraction=0.4, random_state=0).fit(X_train)
print(f"{len(detector.calibration_scores_)} rows set aside")

# %%
# p-values
# --------
#
# The p-value of a row is its rank among the calibration rows. New benign rows have p-values of all
# sizes, malignant ones small p-values.

import matplotlib.pyplot as plt
import numpy as np

colors = {"benign": "#0072b2", "malignant": "#d55e00"}
groups = {"benign": X_benign, "malignant": X_malignant}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharex=True)
for axis, (name, rows) in zip(axes, groups.items()):
    share = np.full(len(rows), 1 / len(rows))
    axis.hist(
        detector.pvalue(rows), np.linspace(0, 1, 11), weights=share, color=colors[name]
    )
    axis.axhline(0.1, color="#333333", linestyle="--", linewidth=1)
    axis.set(title=f"{len(rows)} new {name} rows", xlabel="p-value", ylim=(0, 1))
axes[0].set_ylabel("fraction of rows")
axes[1].text(1, 0.12, "uniform", ha="right", color="#333333")
plt.show()

# %%
# Selection
# ---------
#
# With a threshold of 0.05, one benign row in twenty is a false alarm on average. With many rows it
# is more useful to limit the false discoveries among the selected rows: ``select`` keeps their
# fraction below ``fdr`` on average.

import pandas as pd

new = pd.concat(groups, names=["tissue"])
tissue = new.index.get_level_values("tissue")
table = pd.DataFrame(
    {
        "rows": tissue.value_counts(),
        "p <= 0.05": tissue[detector.pvalue(new) <= 0.05].value_counts(),
        "fdr=0.1": tissue[detector.select(new, fdr=0.1)].value_counts(),
    }
)
print(table.fillna(0).astype(int).to_string())

# %%
# The reason
# ----------
#
# ``explain`` returns how much log-density a row would gain if a single feature were drawn from its
# distribution given all others. We look at two selected rows: the one with the lowest density and,
# among rows whose values are all within the range of the training rows, the one with the largest
# contribution of a single feature.

selected = new[detector.select(new, fdr=0.1)]
contributions = pd.DataFrame(
    detector.explain(selected), selected.index, selected.columns
)
in_range = ((selected >= X_train.min()) & (selected <= X_train.max())).all(axis=1)
rows = {
    "lowest density": detector.score_samples(selected).argmin(),
    "all values in range": contributions.max(axis=1).where(in_range, 0).argmax(),
}

figure, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3.6), layout="constrained")
for axis, (title, row) in zip(axes, rows.items()):
    gain = contributions.iloc[row]
    axis.barh(
        gain.index, gain, color=np.where(gain == gain.max(), "#d55e00", "#888888")
    )
    axis.axvline(0, color="#333333", linewidth=0.8)
    axis.set(title=title, xlabel="contribution, nats")
axes[0].invert_yaxis()
plt.show()

# %%
# No value of the second row is unusual by itself. The picture shows the feature to blame against
# the feature that is most correlated with it.

row = rows["all values in range"]
name = contributions.iloc[row].idxmax()
partner = X_train.corr()[name].drop(name).abs().idxmax()
values = selected.iloc[row]
p_value = detector.pvalue(selected.iloc[[row]])[0]
print(f"p-value {p_value:.3f}, {name}: {values[name]:.4g}")

figure, axis = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
axis.scatter(
    X_train[partner], X_train[name], s=9, color="#0072b2", label="training rows"
)
axis.scatter(
    values[partner], values[name], s=70, marker="D", color="#d55e00", label="this row"
)
axis.set(xlabel=partner, ylabel=name)
axis.legend(frameon=False)
plt.show()
