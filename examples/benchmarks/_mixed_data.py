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
