"""Checks of rows and arguments, with messages that say what is meant and what to do."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, validate_data

#: Numbers of a table that are checked at once.
_CHECKED_AT_ONCE = 2**20
#: Dtypes of tables that are cast part by part; all others are cast to the first as a whole.
FLOATS = [np.float64, np.float32, np.float16]


def checked_rows(estimator, X, allow_nan=False, **options):
    """The rows as an array ``(n, d)`` of finite float64; ``options`` as of ``validate_data``.

    With ``allow_nan`` cells may be NaN, which means unknown. With ``dtype=FLOATS`` other floats
    stay as they are.
    """
    rows = validated(estimator, X, **options)
    return check_finite(rows, getattr(estimator, "feature_names_in_", None), allow_nan)


def checked_pair(estimator, X, y, **options):
    """Features as of ``checked_rows``, and targets, one or several, of finite numbers."""
    X, y = validated(estimator, X, y, multi_output=True, y_numeric=True, **options)
    return check_finite(X, getattr(estimator, "feature_names_in_", None)), y


def validated(estimator, X, *y, **options):
    """What ``validate_data`` makes of X (and y); whether X is finite is for others to say."""
    options = {"dtype": np.float64, "ensure_all_finite": False, **options}
    try:
        return validate_data(estimator, X, *y, **options)
    except (ValueError, TypeError) as error:
        check_numeric(X, error)
        raise


def checked_points(Z):
    """Points of the latent space as an array ``(n, d)`` of finite floats."""
    return check_finite(check_array(Z, dtype=FLOATS, ensure_all_finite=False, input_name="X"))


def checked_state(random_state):
    """The RandomState that the argument of a method stands for."""
    try:
        return check_random_state(random_state)
    except ValueError:
        raise ValueError(
            f"random_state={random_state!r} is not possible. Give None, an integer >= 0 or a "
            "numpy.random.RandomState."
        ) from None


def check_count(name, value):
    """Raise unless an argument is an integer of at least 1."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r} is not possible. Give an integer >= 1.")


def check_part(name, value):
    """Raise unless an argument is a number between 0 and 1."""
    if not isinstance(value, Real) or not 0 < value < 1:
        raise ValueError(f"{name}={value!r} is not possible. Give a number between 0 and 1.")


def check_finite(rows, names=None, allow_nan=False):
    """The rows, unless a cell is infinite or, without ``allow_nan``, NaN: that is an error."""

    def wrong(values):
        return np.isinf(values) if allow_nan else ~np.isfinite(values)

    size = max(1, _CHECKED_AT_ONCE // rows.shape[1])
    if any(wrong(rows[i : i + size]).any() for i in range(0, len(rows), size)):
        bad = wrong(rows)
        what, how = "infinity", "Leave these rows or columns out, or replace the values."
        if np.isnan(rows[bad]).any():
            what = "NaN"
            how = "Leave these rows or columns out, or fill the gaps in before."
        raise ValueError(
            f"Input X contains {what} in {bad.any(axis=1).sum()} of {len(rows)} rows, in column "
            f"{name_columns(bad.any(axis=0), names)}. {how}"
        )
    return rows


def check_numeric(X, error):
    """Raise a clearer error than the one that occurred if columns hold no numbers."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        names, columns = list(X.columns), [np.asarray(X[name]) for name in X.columns]
    else:
        try:
            table = np.asarray(X, dtype=object)
        except ValueError:  # rows of different lengths
            return
        names, columns = None, table.T if table.ndim == 2 else []
    examples = [_first_without_number(column) for column in columns]
    wrong = np.array([example is not None for example in examples])
    if wrong.any():
        # objects that are not even text are errors of type to scikit-learn's checks
        kind, why = (TypeError, f" ({error})") if type(error) is TypeError else (ValueError, "")
        raise kind(
            f"Column {name_columns(wrong, names)} of X holds no numbers, but for instance "
            f"{examples[wrong.argmax()]}. A density needs numbers or categories: leave such "
            "columns out, name those with categories in categorical_features (in a data frame, "
            "text is one by itself), or give numbers in their place, for dates the days since "
            f"one of them.{why}"
        ) from None


def _first_without_number(column):
    """The first value that is no real number, as text, or None."""
    if column.dtype.kind in "mM":
        return str(column[0])
    try:
        column.astype(np.float64)
    except (ValueError, TypeError):
        for value in column:
            try:
                float(value)
            except (ValueError, TypeError):
                # complex numbers are for scikit-learn to refuse
                return None if isinstance(value, complex) else repr(value)[:50]
    return None


def name_columns(selected, names):
    """The selected columns in words, by their names or numbers; of many the first ten."""
    numbers = np.flatnonzero(selected)
    shown = [str(j) if names is None else repr(str(names[j])) for j in numbers[:10]]
    return ", ".join(shown) + (", ..." if len(numbers) > 10 else "")
