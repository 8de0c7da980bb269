"""
========================================
A search on more processes: joblib, dask
========================================

A structure search trains hundreds of short-lived flows. :class:`~skflow.StructureSearchFlow` trains
several at a time as one stack; ``n_jobs`` spreads stacks over processes. joblib decides where they
run: on this machine (loky) or on a cluster (dask). The result is the same.
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
    n_search_iter=40,
    n_candidate_steps=50,
    candidate_score="validation",
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
# The first call starts the processes, each of which imports PyTorch; later calls use them again.
# ``inner_max_num_threads=1`` gives each one thread (for workers elsewhere, set
# ``OMP_NUM_THREADS=1`` in their environment). For small tables one process is often as fast as two.

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
# With dask, ``Client`` gets the address of a scheduler, and the same code runs on its workers,
# where skflow has to be installed. Here the "cluster" is two threads of this process, which shows
# the calls but no speed. Without ``dask.distributed`` loky takes its place.

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
# The three searches are the same: every iteration has its own random stream, so neither the size of
# the stacks nor the place of their training matters.

import matplotlib.pyplot as plt

SearchHistoryDisplay.from_estimator(remote)
plt.show()

# %%
# Grids
# -----
#
# ``GridSearchCV(..., n_jobs=2)`` spreads a grid in the same way. Set ``n_jobs`` for the grid or for
# the search inside, not both; the grid is usually better, because its tasks are larger and
# independent.
