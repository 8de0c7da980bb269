"""The settings and threads with which the package computes, whatever the program has set.

A program's settings (PyTorch's default device and dtype, its autocast, NumPy's handling of floating
point errors, scikit-learn's configuration) would change our results, or break them. And PyTorch's
threads wait for each other after every operation: on a machine that other programs use, too, small
tensors take many times as long as with a single thread. So an operation gets as many threads as its
size can use. Independent rows are distributed over Python's threads instead, which wait for each
other only once.

Everything is restored on the way out, also after an error.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from sklearn import config_context
from threadpoolctl import ThreadpoolController

from .deadline import clock, time_limit
from .progress import SESSION, showing

#: Numbers in the widest tensor for each thread. On an idle machine, a second thread does not make a
#: training step with fewer than twice as many numbers faster (``docs/benchmarks/speed.md``).
NUMBERS_A_THREAD = 2**16
#: scikit-learn's configuration for inner estimators. The user's holds outside, for the
#: validation of parameters and for the container of results.
CONFIGURATION = {
    "array_api_dispatch": False,
    "assume_finite": False,
    "enable_cython_pairwise_dist": True,
    "enable_metadata_routing": False,
    "pairwise_dist_chunk_size": 256,
    "skip_parameter_validation": False,
    "transform_output": "default",
}

_P = ParamSpec("_P")
_T = TypeVar("_T")
_outside = threading.local()  # the user's count of threads, while ours is set


def sheltered(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a public method: it runs with the package's settings, and shows progress."""

    @wraps(method)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with shelter(), showing(getattr(args[0], "verbose", 0) if args else 0):
            return method(*args, **kwargs)

    return run


def atomic(fit: Callable[..., _T]) -> Callable[..., _T]:
    """Decorate a ``fit``: after a failure or interruption the estimator is as before.

    The estimator's ``max_time`` starts here, and ``_seconds`` is set to the time of the ``fit``.
    """

    @wraps(fit)
    def run(self: Any, *args: Any, **kwargs: Any) -> _T:
        before, begun = vars(self).copy(), clock()
        try:
            with time_limit(getattr(self, "max_time", None)):
                fitted = fit(self, *args, **kwargs)
            if fit.__name__ == "fit":
                self._seconds = clock() - begun
            return fitted
        except BaseException:
            # scikit-learn still has to close the callbacks
            running = {name: vars(self)[name] for name in SESSION if name in vars(self)}
            vars(self).clear()
            vars(self).update(before | running)
            raise

    return run


@contextmanager
def shelter() -> Iterator[None]:
    """Set the package's settings, with a single thread until ``threads_for`` allows more."""
    with ExitStack() as stack:
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        stack.enter_context(config_context(**CONFIGURATION))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.is_inference_mode_enabled():  # flows made within could not be trained
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        stack.enter_context(threads_for(0))
        yield


@contextmanager
def threads_for(n_numbers: int) -> Iterator[None]:
    """Allow as many threads as tensors of ``n_numbers`` can use, but not more than the user.

    The counts hold for the calling thread alone, so that contexts of several Python threads may
    overlap. OpenBLAS is left alone, as it has one count for the whole process.
    """
    # in a new thread this sets torch's count, which would otherwise undo ours later
    allowed = allowed_threads()
    usable = max(1, n_numbers // NUMBERS_A_THREAD)
    with ExitStack() as stack:
        if not hasattr(_outside, "allowed"):
            _outside.allowed = allowed
            stack.callback(delattr, _outside, "allowed")
        stack.enter_context(_pools().limit(limits=min(allowed, usable)))
        set_mkl = _mkl_setter()
        if set_mkl is not None:
            stack.callback(set_mkl, set_mkl(min(allowed, usable)))
        yield


def allowed_threads() -> int:
    """Return how many threads the user allows, whatever ``threads_for`` has set."""
    return getattr(_outside, "allowed", torch.get_num_threads())


@lru_cache(maxsize=1)
def _pools() -> ThreadpoolController:
    """Return OpenMP's pools of threads; cached, as it takes 3 ms."""
    return ThreadpoolController().select(user_api="openmp")


@lru_cache(maxsize=1)
def _mkl_setter() -> Callable[[int], int] | None:
    """Return the setter of the MKL's threads for this thread, or None without MKL.

    MKL follows OpenMP until a user calls ``torch.set_num_threads``.
    """
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return library.MKL_Set_Num_Threads_Local
    except (OSError, AttributeError):
        return None


def is_available(device: str) -> bool:
    return torch.device(device).type != "cuda" or torch.cuda.is_available()


def check_device(device: str) -> torch.device:
    try:
        known = torch.device(device)
        if known.type not in ("cpu", "cuda"):
            raise RuntimeError("only these two kinds are supported")
        if known.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("this machine has no CUDA device that torch can use")
        torch.zeros(1, device=known).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = "it is not the name of a device" if "device string" in str(error) else error
        raise ValueError(
            f"device={device!r} cannot be used: {str(reason).splitlines()[0]}. Use 'cpu' or, on a "
            "machine with a GPU, 'cuda'."
        ) from None
    return known
