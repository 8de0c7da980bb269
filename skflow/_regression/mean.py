"""The prediction of another regressor as a further feature."""

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.utils.validation import has_fit_parameter

from .._core.streams import seeded

#: Every row gets the prediction of a regressor that has not seen its fold.
N_FOLDS = 5
#: Beyond so many rows trees split at the edges of bins, as long as columns are not too many.
FEW_ROWS, MANY_COLUMNS = 1000, 100
#: Rows and columns of an exact tree at most, for the time.
MOST_ROWS, MOST_COLUMNS = 2000, 32


def boosted_trees(n_rows, n_columns, n_targets):
    """What "auto" is: gradient boosting, on histograms where rows are many.

    Of the regressors tried on the training parts of yacht and energy, which are small, 300 exact
    trees of depth 4 had the smallest error. From concrete (1030 rows) on histograms are as good and
    faster, and on kin8nm (8192) better by a fifth.
    """
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor

    if n_rows > FEW_ROWS and n_columns <= MANY_COLUMNS:
        boosting = HistGradientBoostingRegressor(
            max_iter=200, learning_rate=0.08, early_stopping=False
        )
    else:
        boosting = GradientBoostingRegressor(
            n_estimators=300,
            max_depth=4,
            subsample=min(0.7, MOST_ROWS / n_rows),
            max_features=min(1.0, MOST_COLUMNS / n_columns),
        )
    return boosting if n_targets == 1 else MultiOutputRegressor(boosting)


def fit_out_of_fold(estimator, C, U, weight, rng, rows):
    """A regressor fitted to some of the rows, and its predictions ``(n, d)`` of all.

    The predictions of the rows that it is fitted to, an index array, are those of regressors that
    have not seen them. Features ``C`` and targets ``U`` are standardised.
    """
    if isinstance(estimator, str):
        estimator = boosted_trees(len(rows), C.shape[1], U.shape[1])
    estimator = seeded(clone(estimator), rng)
    u = U[:, 0] if U.shape[1] == 1 else U
    weighted = weight is not None and has_fit_parameter(estimator, "sample_weight")
    given = {"sample_weight": weight[rows]} if weighted else {}
    folds = KFold(min(N_FOLDS, len(rows)), shuffle=True, random_state=rng)
    unseen = cross_val_predict(estimator, C[rows], u[rows], cv=folds, params=given)
    predicted = np.reshape(estimator.fit(C[rows], u[rows], **given).predict(C), U.shape)
    predicted[rows] = np.reshape(unseen, (len(rows), -1))
    return estimator, predicted
