"""Tables 2 to 5 of "Structure Search for Normalizing Flows" (Gonsior, Mücke, Morik, LWDA 2021).

For each depth a row: bits per dimension in the units of the data, lower is better, as mean and
standard deviation over the models, for random masks, parity and masks found by Algorithm 1.

    python examples/paper/reproduce.py --dataset magic --depth 2 --models 3

The architecture and the lengths of training and search are the paper's. It neither gives its
learning rate nor says whether inputs were standardised; here they are. ``--solver adam`` trains
with Adam and one cycle instead of SGD and many.
"""

import argparse
import time
import warnings

import numpy as np

from skflow import CouplingFlowDensity, datasets, masks

N_STEPS = 1250  # of the final training
SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate": "cyclic", "learning_rate_init": 0.05},
    "adam": {"solver": "adam", "learning_rate": "one_cycle", "learning_rate_init": 0.06},
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=["magic", "turbine", "sonar", "yeast"], default="magic"
    )
    parser.add_argument("--depth", type=int, nargs="+", default=[2], help="numbers of layers")
    parser.add_argument("--models", type=int, default=3, help="models of a mean (the paper: 20)")
    parser.add_argument("--search-iter", type=int, default=200, help="iterations of the search")
    parser.add_argument("--solver", choices=SOLVERS, default="sgd")
    parser.add_argument("--data-home", help="directory of the data, see skflow.datasets")
    return parser.parse_args()


def load(name, data_home):
    """Training rows, test rows and the batch size."""
    data = getattr(datasets, f"fetch_{name}")(data_home=data_home)
    return data.data[data.train_indices], data.data[data.test_indices], data.batch_size


def fit(layout, depth, seed, train, batch_size, solver):
    """One model of the paper."""
    return CouplingFlowDensity(
        depth,
        mask_layout=layout,
        coupling="affine",
        hidden_layer_sizes=(),
        tail_weight=0,
        alpha=0,
        batch_size=batch_size,
        max_iter=N_STEPS / (len(train) // batch_size),
        early_stopping=False,
        random_state=seed,
        **SOLVERS[solver],
    ).fit(train)


def main():
    arguments = parse_arguments()
    # the values of yeast lie on a coarse grid; the paper takes them as they are
    warnings.filterwarnings("ignore", ".*nearly discrete")
    train, test, batch_size = load(arguments.dataset, arguments.data_home)
    layouts = {
        "random": "random",
        "parity": "parity",
        "opt": masks.EvolutionarySearch(n_iter=arguments.search_iter, n_candidate_steps=50),
    }
    print(
        f"{arguments.dataset}: {len(train)} training rows, {len(test)} test rows, "
        f"{train.shape[1]} features, {arguments.models} models, {arguments.solver}; "
        "bits per dimension\n"
    )
    columns = [f"{part} {name}" for part in ("train", "test") for name in layouts]
    print(f"{'depth':>5}" + "".join(f"{column:>16}" for column in columns))
    start = time.perf_counter()
    for depth in arguments.depth:
        bits = np.array(
            [
                [
                    [model.bits_per_dim(rows) for rows in (train, test)]
                    for model in (
                        fit(layout, depth, seed, train, batch_size, arguments.solver)
                        for seed in range(arguments.models)
                    )
                ]
                for layout in layouts.values()
            ]
        )  # layout, model, part
        mean, deviation = bits.mean(axis=1).T.ravel(), bits.std(axis=1).T.ravel()
        cells = [f"{m:.2f} ± {s:.2f}" for m, s in zip(mean, deviation)]
        print(f"{depth:>5}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} seconds")


if __name__ == "__main__":
    main()
