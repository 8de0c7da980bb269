"""
===============================
Tutorial: one table, end to end
===============================

From a table to answers: clean, fit, look, score, explain, sample, predict, save. You can download
the page as a notebook at its end.
"""

# %%
# Clean the table
# ---------------
#
# Ten measurements of 442 patients. A density is for real numbers, so look at the columns first.

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
# Nothing is missing (missing values could stay) and no row is duplicated. ``sex`` is a category
# written as a number; we add it further down. The ratio is a rounded function of two other columns,
# and would make the density depend on the rounding. We drop both for now. Age and most other
# columns are whole numbers, which ``dequantize`` takes care of.

print("duplicated rows:", table.duplicated().sum())
X = table.drop(columns=["sex", "cholesterol / hdl"])
X_train, X_test = train_test_split(X, test_size=0.3, random_state=0)

# %%
# Fit a density
# -------------
#
# The defaults need no tuning. ``bounds`` states the possible values: all patients are adults.
# ``summary`` describes the fit.

from skflow import CouplingFlowDensity

bounds = dict.fromkeys(X.columns, (0, None)) | {"age": (18, None)}
flow = CouplingFlowDensity(bounds=bounds, dequantize=True, random_state=0).fit(X_train)
print(flow.summary())

# %%
# Look at the fit
# ---------------
#
# Data below the diagonal, samples above it: a good model draws mirror images.

from skflow.inspection import PairPlotDisplay, PITDisplay

shown = ["age", "bmi", "cholesterol", "ldl", "hdl"]
PairPlotDisplay.from_estimator(flow, X_train, features=shown, random_state=0)
plt.show()

# %%
# Is it calibrated? For each held-out row, the fraction of the model's samples that are less likely.
# With so many rows, a curve within the band is consistent with a calibrated model.

PITDisplay.from_estimator(flow, X_test, values="density", random_state=0)
plt.show()

# %%
# Score new rows
# --------------
#
# The mean log-density of the held-out rows, in nats a row; higher is better. Use it to compare
# models of the same columns.

from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture

peers = {"one Gaussian": LedoitWolf().fit(X_train)}
for k in (2, 3, 5):
    mixture = GaussianMixture(k, reg_covar=1e-3, random_state=0)
    peers[f"mixture of {k}"] = mixture.fit(X_train)
for name, model in {"skflow": flow, **peers}.items():
    print(f"{name:14} {model.score(X_test):7.2f} nats a row")

# %%
# Explain unusual rows
# --------------------
#
# Which rows are unusual, and why? The report has a p-value for each row and names the column that
# is least consistent with the rest of its row, and the range that would have been usual.

from skflow import FlowOutlierDetector

detector = FlowOutlierDetector(random_state=0).fit(X_train)
report = detector.report(X_test, n=5)
print(report[["pvalue", "reason"]].round(3).to_string())

# %%
# Draw samples
# ------------
#
# Samples respect bounds and grids and can stand in for data. The ends of each column, and then the
# fraction of patients with high blood pressure among those with a high body mass index, by age.

drawn = flow.sample(20_000, random_state=0)
ends = {"data": X.agg(["min", "max"]).T, "samples": drawn.agg(["min", "max"]).T}
print(pd.concat(ends, axis=1).round(2).to_string())


def share(rows):
    heavy = rows[rows["bmi"] > 30]
    decade = heavy["age"] // 10 * 10
    return (heavy["blood pressure"] > 110).groupby(decade).agg(["mean", "count"])


both = pd.concat({"data": share(X), "samples": share(drawn)}, axis=1)
print(both.loc[20:70].round(2).to_string())

# %%
# Ask for unknown values
# ----------------------
#
# NaN means unknown. What glucose do we expect if only age and blood pressure are known? All unknown
# values are drawn jointly, given the known ones.

import numpy as np

from skflow.inspection import ConditionalDisplay

patients = pd.DataFrame(np.nan, index=["young", "old"], columns=X.columns)
patients["age"], patients["blood pressure"] = [25, 70], [75, 110]
drawn = pd.concat(flow.sample_given(patients, 500, random_state=0))
glucose = drawn["glucose"].groupby(level=0).quantile([0.05, 0.5, 0.95])
print(glucose.unstack())
display = ConditionalDisplay.from_estimator(
    flow, X_train, "glucose", patients, labels=["young", "old"], grid_resolution=30
)
plt.show()

# %%
# ``FlowImputer`` fills the missing values of a table in this way.

# %%
# Predict a column
# ----------------
#
# If you always ask for the same column, a regressor learns just that: the distribution of ``y``
# given ``X``. Here, the blood pressure: its median, an interval that covers nine of ten patients,
# and the probability of a high value.

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
# Add a category
# --------------
#
# A column of text, truth values or a categorical dtype is a category: it gets probabilities, and
# the other columns a density given it. So ``sex`` becomes text. ``columns_`` shows how each column
# is treated, and ``hue`` colours by the category.

whole = X.assign(sex=table["sex"].map({1.0: "first", 2.0: "second"}))
mixed = CouplingFlowDensity(
    bounds=bounds, dequantize=True, max_iter=40, random_state=0
).fit(whole)
print("\n".join(f"{name}: {kind}" for name, kind in mixed.columns_.items()))
shown = ["blood pressure", "ldl", "hdl", "glucose"]
PairPlotDisplay.from_estimator(mixed, whole, features=shown, hue="sex", random_state=0)
plt.show()

# %%
# Samples are frames of the same columns, and differ between the categories as the patients do.

drawn = mixed.sample(20_000, random_state=0)
both = {"data": whole, "samples": drawn}
means = {name: rows.groupby("sex")[shown].mean() for name, rows in both.items()}
print(pd.concat(means).unstack(0).round(1).T.to_string())

# %%
# Save the flow
# -------------
#
# A loaded flow returns the same scores, to the last bit.

from tempfile import TemporaryDirectory

import joblib

with TemporaryDirectory() as folder:
    joblib.dump(flow, f"{folder}/flow.joblib")
    again = joblib.load(f"{folder}/flow.joblib")
print(bool((again.score_samples(X_test) == flow.score_samples(X_test)).all()))
