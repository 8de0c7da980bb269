"""Components of very many columns: which shape fits, and what they cost beside the flow.

The first table has the mean log-density of held-out rows, in nats a dimension, of a Gaussian with a
dense (shrunk) covariance, a diagonal one and a factor model, and the milliseconds of processor time
that a row takes, on patches of the two photographs that come with scikit-learn and on drawn rows
with five common factors. The second has seconds of processor time of a default fit, and
milliseconds a row of ``score_samples`` with components (of half of the weight, so that the flow
counts, too) and without.

    OMP_NUM_THREADS=1 python examples/benchmarks/many_columns.py
"""

import argparse
import math
import time
import warnings

import numpy as np
from sklearn.datasets import load_sample_images

from skflow import CouplingFlowDensity
from skflow._models.ellipses import log_ellipses, precision_factors, shrunk_covariance
from skflow._models.factor_model import fit_factor_model, low_rank_factor


def patches(n_columns, n_rows, rng):
    """Rows of squares cut from photographs, at random places, without their rounding."""
    images = load_sample_images().images
    size = math.isqrt(n_columns // 3)
    rows = []
    for _ in range(n_rows):
        image = images[rng.randint(len(images))]
        i, j = (rng.randint(length - size) for length in image.shape[:2])
        rows.append(image[i : i + size, j : j + size].ravel())
    return np.array(rows) + rng.uniform(-0.5, 0.5, (n_rows, 3 * size**2))


def common_factors(n_columns, n_rows, rng):
    return rng.normal(size=(n_rows, 5)) @ rng.normal(size=(5, n_columns)) + 2 * rng.normal(
        size=(n_rows, n_columns)
    )


def shapes(U, rng):
    """Names, centres and factors of the Gaussians."""
    weight = np.full(len(U), 1 / len(U))
    centre, covariance = shrunk_covariance(U, weight)
    yield "dense", centre, precision_factors(covariance[None])[0]
    yield "diagonal", centre, np.diag(1 / U.std(axis=0))
    centre, loadings, variances = fit_factor_model(U, weight, len(U), rng)
    yield "factors", centre, low_rank_factor(loadings, variances)


def compare_shapes(make, n_columns, n_rows, rng):
    X = make(n_columns, n_rows + 500, rng)
    U = (X - X[:n_rows].mean(axis=0)) / X[:n_rows].std(axis=0)
    cells = []
    for _, centre, factor in shapes(U[:n_rows], rng):
        start = time.process_time()
        score = log_ellipses(U[n_rows:], [centre], [factor], math.inf).mean() / U.shape[1]
        cells.append(f"{score:.3f} ({1000 * (time.process_time() - start) / 500:.3f} ms)")
    print(f"| {make.__name__} | {U.shape[1]} | {n_rows} | {' | '.join(cells)} |", flush=True)


def compare_cost(n_columns, n_rows, rng):
    X = common_factors(n_columns, n_rows, rng)
    start = time.process_time()
    CouplingFlowDensity(random_state=0).fit(X)
    seconds, times = time.process_time() - start, []
    for component_weight in (0.5, 0):
        flow = CouplingFlowDensity(
            max_iter=2, component_weight=component_weight, random_state=0
        ).fit(X)
        start = time.process_time()
        flow.score_samples(X[:400])
        times.append(1000 * (time.process_time() - start) / 400)
    cells = f"{seconds:.0f} | {times[0]:.2f} | {times[1]:.2f}"
    print(f"| {n_columns} | {n_rows} | {cells} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, nargs="+", default=[300, 588, 1200, 2028])
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 3000])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.RandomState(0)
    print("| table | columns | rows | dense | diagonal | factors |\n|---|---|---|---|---|---|")
    for make in (patches, common_factors):
        for n_columns in args.columns:
            for n_rows in args.rows:
                compare_shapes(make, n_columns, n_rows, rng)
    print("\n| columns | rows | s a fit | ms a row | flow alone |\n|---|---|---|---|---|")
    for n_columns in args.columns:
        compare_cost(n_columns, 500, rng)


if __name__ == "__main__":
    main()
