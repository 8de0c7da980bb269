"""How near to a Gaussian come linear layers that least squares fits one after the other?

    python examples/paper/linear_layers.py --markdown examples/paper/results_linear.md

Twenty random covariances of ten features (those of as many normal rows with ten columns, plus a
tenth of the identity). A layer transforms the features of its mask into standardised residuals of
their regression on the others; the covariance is known, so that nothing is estimated but derived
masks, which see 2000 rows. Code length in nats a row beyond the Gaussian's own, a mean.
"""

from pathlib import Path

import numpy as np
from _flows import markdown, parser_of
from deep_flows import random_pairs

from skflow import masks

N_COVARIANCES, N_FEATURES, DEPTHS = 20, 10, (2, 4, 6, 8)
LAYOUTS = {
    "parity": masks.Rule("parity"),
    "random pairs": masks.Rule(random_pairs),
    "derived pairs": masks.Derived(),
}


def covariances():
    for seed in range(N_COVARIANCES):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((N_FEATURES, N_FEATURES))
        covariance = A @ A.T / N_FEATURES + 0.1 * np.eye(N_FEATURES)
        scale = np.sqrt(np.diag(covariance))
        yield covariance / np.outer(scale, scale), rng


def excess(covariance, structure):
    """Code length of the layers beyond the Gaussian's."""
    length = -0.5 * np.linalg.slogdet(covariance)[1]
    for mask in structure:
        a, b = np.flatnonzero(mask == 1), np.flatnonzero(mask == 0)
        slopes = np.linalg.solve(covariance[np.ix_(b, b)], covariance[np.ix_(b, a)])
        left = np.diag(covariance)[a] - (slopes * covariance[np.ix_(b, a)]).sum(axis=0)
        step = np.eye(len(covariance))
        step[np.ix_(a, b)] = -slopes.T
        step[a] /= np.sqrt(left)[:, None]
        covariance = step @ covariance @ step.T
        length += 0.5 * np.log(left).sum()
    return length


def measure():
    """Excess ``(layout, depth, covariance)``."""
    found = np.zeros((len(LAYOUTS), len(DEPTHS), N_COVARIANCES))
    for k, (covariance, rng) in enumerate(covariances()):
        X = rng.multivariate_normal(np.zeros(N_FEATURES), covariance, 2000)
        for lengths, layout in zip(found, LAYOUTS.values()):
            structure = layout.make(max(DEPTHS), N_FEATURES, random_state=k, X=X)
            for length, depth in zip(lengths, DEPTHS):
                length[k] = excess(covariance, structure[:depth])
    return found


if __name__ == "__main__":
    means = measure().mean(axis=2)
    rows = [[name, *(f"{v:.3f}" for v in line)] for name, line in zip(LAYOUTS, means)]
    page = markdown(map(str, DEPTHS), rows, "layers")
    print(page)
    if path := parser_of(__doc__).parse_args().markdown:
        Path(path).write_text(page, encoding="utf-8")
