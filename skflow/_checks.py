"""Checks of rows, with messages that say which columns are meant and what to do with them."""

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, validate_data


def checked_rows(estimator, X, **options):
    """The rows as an array ``(n, d)`` of finite float64; ``options`` as of ``validate_data``."""
    try:
        rows = validate_data(estimator, X, dtype=np.float64, ensure_all_finite=False, **options)
    except (ValueError, TypeError) as error:
        _check_numeric(X, error)
        raise
    return _finite(rows, getattr(estimator, "feature_names_in_", None))


def checked_points(Z):
    """Points of the latent space as an array ``(n, d)`` of finite float64."""
    return _finite(check_array(Z, dtype=np.float64, ensure_all_finite=False, input_name="X"))


def checked_state(random_state):
    """The RandomState that the argument of a method stands for."""
    try:
        return check_random_state(random_state)
    except ValueError:
        raise ValueError(
            f"random_state={random_state!r} is not possible. Give None, an integer >= 0 or a "
            "numpy.random.RandomState."
        ) from None


def _finite(rows, names=None):
    bad = ~np.isfinite(rows)
    if bad.any():
        what, how = "infinity", "Leave these rows or columns out, or replace the values."
        if np.isnan(rows).any():
            what = "NaN"
            how = "Leave these rows or columns out, or fill the gaps in before."
        raise ValueError(
            f"Input X contains {what} in {bad.any(axis=1).sum()} of {len(rows)} rows, in column "
            f"{name_columns(bad.any(axis=0), names)}. {how}"
        )
    return rows


def _check_numeric(X, error):
    """Raise a clearer error than the one that occurred if columns hold no numbers."""
    frame = hasattr(X, "columns") and hasattr(X, "dtypes")
    try:
        names = list(X.columns) if frame else None
        columns = [X[name] for name in names] if frame else np.asarray(X, dtype=object).T
    except (ValueError, TypeError):
        return
    wrong = np.array([not _is_numeric(column) for column in columns])
    if wrong.ndim == 1 and wrong.any() and np.ndim(X) == 2:
        # objects that are not even text are errors of type to scikit-learn's checks
        kind, why = (TypeError, f" ({error})") if type(error) is TypeError else (ValueError, "")
        raise kind(
            f"Column {name_columns(wrong, names)} of X holds no numbers (but strings, categories, "
            "dates or other objects). A density needs numbers: leave such columns out, or encode "
            "them, for instance with sklearn.preprocessing.OrdinalEncoder (and dequantize=True), "
            f"and dates as numbers of days.{why}"
        ) from None


def _is_numeric(column):
    values = np.asarray(column)
    if values.dtype.kind in "mM":
        return False
    if values.dtype.kind == "c" or any(isinstance(value, complex) for value in values):
        return True  # for scikit-learn to refuse
    try:
        values.astype(np.float64)
    except (ValueError, TypeError):
        return False
    return True


def name_columns(selected, names):
    """The selected columns in words, by their names or numbers; of many the first ten."""
    numbers = np.flatnonzero(selected)
    shown = [str(j) if names is None else repr(str(names[j])) for j in numbers[:10]]
    return ", ".join(shown) + (", ..." if len(numbers) > 10 else "")
