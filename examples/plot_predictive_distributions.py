"""
=============================
A target's whole distribution
=============================

A mean is not enough if a target has two modes, or if its spread varies.
:class:`~skflow.FlowRegressor` learns the density of a target given the features: here the length of
an iris's petals, given the width of its sepals and nothing else.
"""

# %%
# Two modes
# ---------
# Setosas have short petals, the two other species long ones, and the width of the sepals alone does
# not separate them. So a flower with sepals 3 cm wide has short petals or long ones, and hardly
# anything in between, where the mean is.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_iris

from skflow import FlowRegressor
from skflow.inspection import (
    CoverageDisplay,
    PredictiveDensityDisplay,
    QuantileFanDisplay,
)

iris = load_iris(as_frame=True).data
X, y = iris[["sepal width (cm)"]], iris["petal length (cm)"]
regressor = FlowRegressor(random_state=0).fit(X, y)
rows = X.iloc[[60, 50, 0, 33]]
display = PredictiveDensityDisplay.from_estimator(
    regressor, rows, y.loc[rows.index], name="petal length given sepal width"
)
widths = [f"{width} cm" for width in rows["sepal width (cm)"]]
_ = display.ax_.set_yticklabels(widths[::-1])
_ = display.ax_.set(xlabel="petal length (cm)", ylabel="sepal width")

# %%
# Probabilities and draws come from the same density. The probability that a flower with sepals of
# 3 cm has petals longer than 3 cm:

flower = X.iloc[:1].assign(**{"sepal width (cm)": 3.0})
print(f"probability {1 - regressor.cdf(flower, [3.0])[0]:.2f}")
print(f"mean {regressor.predict(flower)[0]:.2f} cm")
print("ten draws", np.sort(regressor.sample_y(flower, 10)[0]).round(1))

# %%
# A spread that changes
# ---------------------
# The progression of diabetes after a year, along the body mass index, with the other features at
# their medians. Bands contain 50, 80 and 95 % of the distribution.

X, y = load_diabetes(return_X_y=True, as_frame=True)
train = np.arange(len(X)) % 3 > 0
regressor = FlowRegressor(random_state=0).fit(X[train], y[train])
display = QuantileFanDisplay.from_estimator(
    regressor, X[train], "bmi", name="progression of diabetes"
)

# %%
# Are the intervals calibrated?
# -----------------------------
# Coverage on held-out rows. The intervals are calibrated with rows that ``fit`` sets aside; these
# are few, so coverage varies from split to split more than the band of the test rows shows. The
# histogram is that of the density itself, which is not calibrated.

display = CoverageDisplay.from_estimator(regressor, X[~train], y[~train])

plt.show()
