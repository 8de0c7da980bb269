"""
===============================
Tutorial: one table, end to end
===============================

From a table to a density that can be used: clean, fit, look, score, explain, sample, predict, save.
The page is a notebook, too, which can be downloaded at its end.
"""

# %%
# Clean
# -----
#
# Ten measurements of 442 patients. A density is for real numbers, so look at what the columns are
# before anything else.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

table = load_diabetes(as_frame=True, scaled=False).data.rename(
    columns={
        "bp": "blood pressure",
        "s1": "cholesterol",
        "s2": "ldl",
        "s3": "hdl",
        "s4": "cholesterol / hdl",
        "s5": "log triglycerides",
        "s6": "glucose",
    }
)
overview = table.describe().T[["count", "min", "mean", "max"]]
overview["values"] = table.nunique()
print(overview.round(2).to_string())

# %%
# Nothing is missing, and no row is there twice (rows with gaps would have to go, or their gaps to
# be filled). ``sex`` is a category, written as a number: it has its turn further down. The ratio
# is a function of two other columns, rounded: with it the density would be about the rounding. Both
# are left out. The ages and most of the others are whole numbers, which ``dequantize`` takes care
# of.

print("rows that are there twice:", table.duplicated().sum())
X = table.drop(columns=["sex", "cholesterol / hdl"])
X_train, X_test = train_test_split(X, test_size=0.3, random_state=0)

# %%
# Fit
# ---
#
# The defaults need no tuning. ``bounds`` says what values are possible, where that is known: all of
# these are adults. ``set_output`` asks for samples as data frames, and ``summary`` says what was
# fitted.

from skflow import CouplingFlowDensity

bounds = dict.fromkeys(X.columns, (0, None)) | {"age": (18, None)}
flow = CouplingFlowDensity(bounds=bounds, dequantize=True, random_state=0)
flow = flow.set_output(transform="pandas").fit(X_train)
print(flow.summary())

# %%
# Look
# ----
#
# Data below the diagonal, samples above it: what a good model draws are mirror images.

from skflow.inspection import PairPlotDisplay, PITDisplay

shown = ["age", "bmi", "cholesterol", "ldl", "hdl"]
PairPlotDisplay.from_estimator(flow, X_train, features=shown, random_state=0)
plt.show()

# %%
# Is it calibrated? For held-out rows, the share of the model's samples that are less likely than
# the row. A curve within the band is as good as can be told from so many rows.

PITDisplay.from_estimator(flow, X_test, values="density", random_state=0)
plt.show()

# %%
# Score
# -----
#
# The mean log-density of the held-out rows, in nats a row; higher is better. It says nothing by
# itself, but compares models of the same columns.

from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture

peers = {"one Gaussian": LedoitWolf().fit(X_train)}
for k in (2, 3, 5):
    mixture = GaussianMixture(k, reg_covar=1e-3, random_state=0)
    peers[f"mixture of {k}"] = mixture.fit(X_train)
for name, model in {"skflow": flow, **peers}.items():
    print(f"{name:14} {model.score(X_test):7.2f} nats a row")

# %%
# Explain
# -------
#
# Which rows are unusual, and what about them? The detector sets rows aside for its p-values; the
# report names the column that goes least with the rest of its row, and what would have been usual.

from skflow import FlowOutlierDetector

detector = FlowOutlierDetector(random_state=0).fit(X_train)
report = detector.report(X_test, n=5)
columns = ["pvalue", "column_1", "value_1", "usual_from_1", "usual_to_1", "nats_1"]
print(report[columns].round(2).to_string())

# %%
# Sample
# ------
#
# Samples keep to the bounds and to the grids, and can stand in for data: here for the share of
# patients of high blood pressure among those of high body mass index, by age.

drawn = flow.sample(20_000, random_state=0)
print("lowest values drawn:", *drawn.min().round(2))


def share(rows):
    heavy = rows[rows["bmi"] > 30]
    decade = heavy["age"] // 10 * 10
    return (heavy["blood pressure"] > 110).groupby(decade).agg(["mean", "count"])


both = pd.concat({"data": share(X), "samples": share(drawn)}, axis=1)
print(both.loc[20:70].round(2).to_string())

# %%
# Ask
# ---
#
# NaN means unknown. What glucose is to be expected of a patient of whom the age and the blood
# pressure are known? All unknown values are drawn together, given the known ones.

import numpy as np

from skflow.inspection import ConditionalDisplay

patients = pd.DataFrame(np.nan, index=["young", "old"], columns=X.columns)
patients["age"], patients["blood pressure"] = [25, 70], [75, 110]
drawn = flow.sample_given(patients, 500, random_state=0)
glucose = drawn[:, list(X.columns).index("glucose")]
print(pd.DataFrame(np.quantile(glucose, [0.05, 0.5, 0.95], axis=1).T, patients.index))
display = ConditionalDisplay.from_estimator(
    flow, X_train, "glucose", patients, labels=["young", "old"], grid_resolution=30
)
plt.show()

# %%
# ``FlowImputer`` fills the gaps of a table in this way.

# %%
# Predict
# -------
#
# Where one column is asked for, given the others, a regressor learns just that: the distribution of
# ``y`` given ``X``. Here that of the blood pressure: its median, an interval that holds nine of ten
# patients, and the probability of a high one.

from skflow import FlowRegressor

target = "blood pressure"
features, pressure = X_train.drop(columns=target), X_train[target]
regressor = FlowRegressor(bounds=(0, None), random_state=0).fit(features, pressure)
patients = X_test.iloc[:5]
given = patients.drop(columns=target)
low, high = regressor.predict_interval(given, coverage=0.9).T
answers = {
    "measured": patients[target],
    "median": regressor.predict_quantiles(given, 0.5),
    "from": low,
    "to": high,
    "P(over 110)": 1 - regressor.cdf(given, [110.0] * len(given)),
}
print(pd.DataFrame(answers).round(2).to_string())

# %%
# Categories
# ----------
#
# A column of text, of truth values or of the dtype of categories is a category: it has a
# probability, and the other columns a density given it. So ``sex`` becomes text. ``columns_`` says
# what each column is taken for, and ``hue`` shows the category by colour.

whole = X.assign(sex=table["sex"].map({1.0: "first", 2.0: "second"}))
mixed = CouplingFlowDensity(
    bounds=bounds, dequantize=True, max_iter=40, random_state=0
).fit(whole)
print("\n".join(f"{name}: {kind}" for name, kind in mixed.columns_.items()))
shown = ["blood pressure", "ldl", "hdl", "glucose"]
PairPlotDisplay.from_estimator(mixed, whole, features=shown, hue="sex", random_state=0)
plt.show()

# %%
# Samples are frames of the same columns, categories among them, and differ between these as the
# patients do.

drawn = mixed.sample(20_000, random_state=0)
both = {"data": whole, "samples": drawn}
means = {name: rows.groupby("sex")[shown].mean() for name, rows in both.items()}
print(pd.concat(means).unstack(0).round(1).T.to_string())

# %%
# Save
# ----
#
# A saved flow gives the same scores, to the last bit.

from tempfile import TemporaryDirectory

import joblib

with TemporaryDirectory() as folder:
    joblib.dump(flow, f"{folder}/flow.joblib")
    again = joblib.load(f"{folder}/flow.joblib")
print(bool((again.score_samples(X_test) == flow.score_samples(X_test)).all()))
