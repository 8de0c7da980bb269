"""Searches in processes of their own, to be killed (SIGKILL) while a stack is trained.

The same call then goes on from the checkpoint, and its result is compared with that of an unbroken
one: every record of the history, and the scores of all rows.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

from skflow import StructureSearchFlow
from skflow._structure.candidates import CandidateEvaluator


def search(checkpoint, n_search_iter=100):
    """A small search, which takes most of the time of the fit."""
    return StructureSearchFlow(
        2,
        n_search_iter=n_search_iter,
        n_candidate_steps=20,
        hidden_layer_sizes=(16,),
        max_iter=2,
        component_weight=0,
        top_k=2,
        checkpoint=checkpoint,
        random_state=0,
    ).fit(rows())


def rows():
    """Six columns of scikit-learn's wines."""
    return load_wine().data[:, :6]


class LoggedStacks:
    """While entered, the sizes of the stacks that are begun go to a file, one a line."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.parent.mkdir(exist_ok=True)
        self.path.touch()
        self.call = CandidateEvaluator.__call__

    def __enter__(self):
        self.path.write_bytes(b"")

        def call(evaluator, masks, *args):
            with self.path.open("ab", buffering=0) as file:
                file.write(b"%d\n" % len(masks))
            return self.call(evaluator, masks, *args)

        CandidateEvaluator.__call__ = call
        return self

    def __exit__(self, *error):
        CandidateEvaluator.__call__ = self.call

    def sizes(self):
        return [int(line) for line in self.path.read_text().split()]


def start_process(folder):
    """A process that has imported everything and waits for a line before it searches."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    process.stdout.readline()
    return process


def search_when_told(folder):
    print("ready", flush=True)
    sys.stdin.readline()
    with LoggedStacks(folder / "stacks"):
        search(folder)


def killed_when(wait, folder):
    """Sizes of the stacks that were begun when `wait` returned and the process was killed."""
    with start_process(folder) as process:
        try:
            process.stdin.write(b"\n")
            process.stdin.flush()
            wait()
        finally:
            process.send_signal(signal.SIGKILL)
    return LoggedStacks(folder / "stacks").sizes()


def wait_for(stacks, n_stacks, seconds=0.0):
    """Return so many seconds after the n-th stack was begun."""
    give_up = time.monotonic() + 120
    while len(stacks.sizes()) < n_stacks:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{len(stacks.sizes())} of {n_stacks} stacks after two minutes")
        time.sleep(0.001)
    time.sleep(seconds)


def gone_on(folder, *args):
    """The same call once more; the estimator and the sizes of the stacks that were left."""
    with LoggedStacks(folder / "left") as stacks:
        return search(folder, *args), stacks.sizes()


def difference(flow, whole):
    """The largest of costs and scores; infinite for another sequence of structures."""
    one, other = flow.search_history_, whole.search_history_
    same = len(one) == len(other) and all(
        np.array_equal(a.masks, b.masks) and a.accepted == b.accepted for a, b in zip(one, other)
    )
    if not same or not np.array_equal(flow.masks_, whole.masks_):
        return np.inf
    costs = max(abs(a.cost - b.cost) for a, b in zip(one, other))
    return max(costs, np.abs(flow.score_samples(rows()) - whole.score_samples(rows())).max())


if __name__ == "__main__":
    search_when_told(Path(sys.argv[1]))
