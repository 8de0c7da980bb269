"""What a pass of the triangular layout costs, beside the six coupling layers of the default.

    OMP_NUM_THREADS=1 python examples/benchmarks/triangular.py

For each number of columns: parameters, processor seconds of a fit and milliseconds a row of
``score_samples``, of one flow without components on 1000 drawn rows. The triangular layout is
derived, order and all features before; its conditioners are those of the default.
"""

import argparse
import time

import numpy as np

from skflow import CouplingFlowDensity, masks

N_ROWS = 1000


def cost(n_layers, layout, X, max_iter):
    """Parameters, seconds of the fit and milliseconds a row."""
    flow = CouplingFlowDensity(
        n_layers, mask_layout=layout, max_iter=max_iter, component_weight=0, random_state=0
    )
    start = time.process_time()
    flow.fit(X)
    fitted = time.process_time()
    flow.score_samples(X)
    scored = time.process_time()
    return flow.n_parameters_, fitted - start, 1000 * (scored - fitted) / len(X)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--columns", type=int, nargs="+", default=[5, 10, 20, 40, 80])
    parser.add_argument("--max-iter", type=int, default=10, help="epochs of a fit")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    named = [name for pair in ("parameters", "s a fit", "ms a row") for name in (pair, "couplings")]
    print(f"| columns | {' | '.join(named)} |\n|" + 7 * "---:|")
    for n_columns in arguments.columns:
        X = rng.normal(size=(N_ROWS, n_columns)) @ rng.normal(size=(n_columns, n_columns))
        triangular = cost(1, masks.Triangular(), X, arguments.max_iter)
        coupled = cost(6, "derived", X, arguments.max_iter)
        cells = zip(("{:,}", "{:.1f}", "{:.3f}"), triangular, coupled)
        texts = [form.format(value) for form, *values in cells for value in values]
        print(f"| {n_columns} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
