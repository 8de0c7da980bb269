"""The training recipe: what "auto" means for a table of n training rows.

The numbers were chosen on validation rows of the training parts of magic, turbine, yeast and sonar
and of scikit-learn's small tables, never on test rows: longer trainings at a high rate with strong
weight decay, stronger where rows are few and columns many.
"""

import math

#: Optimizer steps that a training aims at, within the bounds on epochs.
N_STEPS = 5000
MIN_EPOCHS, MAX_EPOCHS = 10, 120


def batch_size(n_rows):
    """A power of two near ``n_rows / 64``, from 32 to 1024, so that an epoch has some 64 steps."""
    return int(2 ** min(10, max(5, round(math.log2(n_rows / 64)))))


def max_iter(steps_per_epoch):
    """Epochs that make about 5000 steps: at least 10 for large tables, at most 120 for small."""
    return min(MAX_EPOCHS, max(MIN_EPOCHS, math.ceil(N_STEPS / steps_per_epoch)))


def learning_rate_init(solver, single_layer):
    """0.01; a single-layer affine conditioner, which hardly overfits, takes 0.06 with Adam."""
    return 0.06 if solver == "adam" and single_layer else 0.01


def alpha(n_rows, n_features, solver, single_layer):
    """``0.02 d (15000 / n_rows)^(3/4)``, at most 3; none for SGD and single-layer conditioners."""
    if solver == "sgd" or single_layer:
        return 0.0
    return min(3.0, 0.02 * n_features * (15_000 / n_rows) ** 0.75)


def n_iter_no_change(n_epochs):
    """Three fifths of the epochs.

    Where rates are high the score may stand still for half of a training (it does on yeast, whose
    values repeat) and improve when they decay; most tables with less to learn than that overfit
    early.
    """
    return math.ceil(0.6 * n_epochs)
