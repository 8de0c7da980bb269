"""Threads: as many as a size can use, never more than the user allows."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from threadpoolctl import threadpool_info

from skflow import CouplingFlowDensity
from skflow._core.runtime import NUMBERS_A_THREAD, shelter, sheltered, threads_for
from skflow._nn.blocks import map_blocks

X = load_iris().data


def counts():
    """The counts that a user can see: PyTorch's, and those of every pool."""
    return torch.get_num_threads(), {
        pool["filepath"]: pool["num_threads"] for pool in threadpool_info()
    }


def in_new_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture
def two_threads():
    """As on a machine of two cores where the user has asked for both."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# ---- threads


def helpers_work():
    """Processor ticks of this process's other threads during products and exponentials."""

    def ticks():
        own, spent = str(threading.get_native_id()), {}
        for thread in set(os.listdir("/proc/self/task")) - {own}:
            with open(f"/proc/self/task/{thread}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            spent[thread] = int(fields[11]) + int(fields[12])
        return spent

    before = ticks()
    for _ in range(50):  # threads that an earlier test has used still wait for work in loops
        time.sleep(0.2)
        if (now := ticks()) == before:
            break
        before = now
    x = torch.ones(4, 400, 400)
    for _ in range(10):
        torch.baddbmm(x, x, x)
        torch.exp(x.expand(4, 4, 400, 400).contiguous())
    return sum(spent - before.get(thread, 0) for thread, spent in ticks().items())


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs Linux")
@pytest.mark.parametrize("run", [lambda f: f(), in_new_thread], ids=["main", "new thread"])
def test_a_limit_reaches_all_of_torch_after_the_users_own(two_threads, run):
    """Also MKL, which has a count of its own, and a thread that torch has not yet seen."""

    def limited():
        with threads_for(0):
            return helpers_work()

    assert run(limited) <= 1


def test_a_tensor_gets_the_threads_that_it_can_use(two_threads):
    for n_numbers, expected in [(0, 1), (2 * NUMBERS_A_THREAD - 1, 1), (2 * NUMBERS_A_THREAD, 2)]:
        with shelter(), threads_for(n_numbers):
            assert torch.get_num_threads() == expected
            with threads_for(0):
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == expected


def test_the_users_limit_is_kept(two_threads):
    torch.set_num_threads(1)
    with shelter(), threads_for(10**9):
        assert torch.get_num_threads() == 1
        assert (
            map_blocks(lambda block: threading.get_ident(), [1, 2]) == [threading.get_ident()] * 2
        )
    torch.set_num_threads(2)
    with shelter(), threads_for(10**9):
        assert torch.get_num_threads() == 2


def test_counts_are_restored_after_errors_and_after_overlapping_contexts(two_threads):
    before, of_new_threads = counts(), in_new_thread(counts)

    @sheltered
    def fail():
        raise RuntimeError("as intended")

    with pytest.raises(RuntimeError, match="as intended"):
        fail()
    assert counts() == before

    entered, left = threading.Event(), threading.Event()

    def overlap():
        with shelter():
            entered.set()
            left.wait(10)
        return counts()

    with shelter():
        thread = threading.Thread(target=overlap)
        thread.start()
        entered.wait(10)
    left.set()
    thread.join()
    assert counts() == before
    assert in_new_thread(counts) == of_new_threads


def test_blocks_are_shared_out_in_order_each_with_one_thread(two_threads):
    def block(i):
        return i, torch.get_num_threads(), threading.get_ident()

    with shelter():
        results = map_blocks(block, range(20))
    assert [i for i, _, _ in results] == list(range(20))
    assert {count for _, count, _ in results} == {1}
    assert threading.get_ident() not in {thread for _, _, thread in results}


def test_an_error_in_a_block_reaches_the_caller(two_threads):
    def block(i):
        raise ValueError(f"block {i}")

    with shelter(), pytest.raises(ValueError, match="block 0"):
        map_blocks(block, range(4))


def test_scores_do_not_depend_on_the_threads(two_threads):
    rng = np.random.default_rng(0)
    flow = CouplingFlowDensity(2, max_iter=2, component_weight=0.1, random_state=0).fit(X)
    rows = rng.normal(5, 1, (10_000, 4))
    several = flow.score_samples(rows), flow.sample(5000, random_state=0)
    torch.set_num_threads(1)
    alone = flow.score_samples(rows), flow.sample(5000, random_state=0)
    for one, other in zip(several, alone):
        np.testing.assert_array_equal(one, other)


# ---- a fork after it


FORK = """
import multiprocessing, warnings
from sklearn.datasets import load_iris
from skflow import CouplingFlowDensity
warnings.simplefilter("ignore")  # newer versions of Python warn of any fork beside threads
X = load_iris().data
flow = CouplingFlowDensity(2, max_iter=2, component_weight=0.1, random_state=0).fit(X)
child = multiprocessing.get_context("fork").Process(target=flow.score_samples, args=(X,))
child.start()
child.join(60)
print(child.exitcode)
child.kill()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_after_a_small_fit_works():
    """It would wait for the threads of the parent, if the fit had used several."""
    run = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=True
    )
    assert run.stdout.split() == ["0"]
