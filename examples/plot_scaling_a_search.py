"""
========================================
A search on more processes: joblib, dask
========================================

A structure search trains hundreds of short-lived flows. :class:`~skflow.StructureSearchFlow` trains
several at a time as one stack, in one process; ``n_jobs`` spreads the stacks over more. Where these
processes are is for joblib to say: on this machine (loky) or on a cluster (dask). What is found
does not depend on it.
"""

# %%
# The task
# --------

import os
import time

import numpy as np
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import make_sparse_spd_matrix

from skflow import StructureSearchFlow
from skflow.inspection import SearchHistoryDisplay

rng = np.random.default_rng(0)
precision = make_sparse_spd_matrix(16, alpha=0.9, random_state=0)
X = rng.multivariate_normal(np.zeros(16), np.linalg.inv(precision), 4000)
X = np.sinh(X)  # heavy tails
search = StructureSearchFlow(
    n_layers=4,
    n_search_iter=60,
    n_candidate_steps=50,
    hidden_layer_sizes=(32,),
    coupling="affine",
    max_iter=5,
    random_state=0,
)


def timed(name, estimator):
    start = time.perf_counter()
    fitted = clone(estimator).fit(X)
    print(f"{name:22} {time.perf_counter() - start:5.1f} s, {history(fitted)[-1]:.6f}")
    return fitted


def history(fitted):
    return np.array([record.best_cost for record in fitted.search_history_])


# %%
# One process, then two
# ---------------------
#
# The first call pays for the start of the processes, each of which imports PyTorch; they stay, and
# later calls find them ready. ``inner_max_num_threads=1`` keeps their threads out of each other's
# way (for workers elsewhere, set ``OMP_NUM_THREADS=1`` in their environment). Tasks as small as
# these are hardly worth sending away: for such a table one process is often as fast as two.
# Measure with your own.

print(f"{os.cpu_count()} processors")
alone = timed("one process", search)
with parallel_config(backend="loky", inner_max_num_threads=1):
    spread = timed("two processes, loky", search.set_params(n_jobs=2))
    spread = timed("the same, started", search)
print("the same structure:", np.array_equal(alone.masks_, spread.masks_))

# %%
# On a cluster
# ------------
#
# With dask, ``Client`` gets the address of a scheduler, and the same line runs on its workers, on
# which skflow has to be installed. Here the "cluster" is two threads of this process, which shows
# the calls and no speed. Without ``dask.distributed`` loky takes its place.

try:
    from distributed import Client
except ImportError:
    print("dask.distributed is not installed (pip install 'dask[distributed]'): loky")
    with parallel_config(backend="loky", inner_max_num_threads=1):
        remote = timed("two processes, loky", search)
else:
    with (
        Client(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ),
        parallel_config(backend="dask"),
    ):
        remote = timed("two workers, dask", search)
print("the same structure:", np.array_equal(alone.masks_, remote.masks_))

# %%
# The three searches are one: every iteration has a random stream of its own, so that neither the
# size of the stacks nor the place where they are trained matters.

import matplotlib.pyplot as plt

SearchHistoryDisplay.from_estimator(remote)
plt.show()

# %%
# Grids
# -----
#
# A grid search is spread in the same way, by ``GridSearchCV(..., n_jobs=2)``. Give ``n_jobs`` to
# one of the two, the grid or the search inside; the outer one is usually better, since its tasks
# are larger and do not wait for each other.
