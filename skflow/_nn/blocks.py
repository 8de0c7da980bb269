"""Blocks of rows, which bound the memory of any computation.

A flow computes a *block* of rows at once, and several blocks in parallel. A method reads, casts to
float64, standardises and answers a *part* of a table before the next one. A part holds whole
blocks, so that results do not depend on where parts end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from .._core.progress import shown
from .._core.runtime import allowed_threads, sheltered

#: Most numbers in the widest tensor. A larger block does not fit into the processor's caches; in a
#: smaller one the overhead of calls dominates.
BLOCK_SIZE = 200_000
#: Least rows of a block: with wide conditioners fewer take as long, to read the weights.
LEAST_ROWS = 16
#: Numbers of a part of a table; an answer needs about ten times as many at once.
PART_SIZE = 2**19
#: Most blocks of rows computed at once: each needs its own memory.
MOST_BLOCKS = 8

_Block = TypeVar("_Block")
_Answer = TypeVar("_Answer")


def blocks(n_rows: int, numbers_per_row: int) -> list[slice]:
    """Return slices that cover ``n_rows`` rows in blocks of at least 16 rows."""
    size = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_row)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def parts(
    n_rows: int, numbers_per_row: int, numbers_per_block_row: int = BLOCK_SIZE
) -> list[slice]:
    """Return slices that cover ``n_rows`` rows in parts of whole blocks."""
    block = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_block_row)
    size = block * max(1, PART_SIZE // (numbers_per_row * block))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def map_blocks(function: Callable[[_Block], _Answer], blocks: Iterable[_Block]) -> list[_Answer]:
    """Return a function's results for each block, in order, by several threads if allowed."""
    blocks = list(blocks)
    if len(blocks) == 1:
        return [function(blocks[0])]
    n_threads = min(len(blocks), MOST_BLOCKS, allowed_threads())
    if n_threads <= 1:
        return list(shown(map(function, blocks), "blocks of rows", len(blocks)))
    with ThreadPoolExecutor(n_threads) as pool:
        answers = pool.map(sheltered(function), blocks)
        return list(shown(answers, "blocks of rows", len(blocks)))


def over_rows(
    function: Callable[[slice], np.ndarray],
    n_rows: int,
    numbers_per_row: int,
    axis: int = 0,
) -> np.ndarray:
    """Return a function's results for the blocks of ``n_rows`` rows, joined along an axis."""
    return np.concatenate(map_blocks(function, blocks(n_rows, numbers_per_row)), axis=axis)


def answer_in_parts(
    function: Callable[..., np.ndarray],
    parts: Sequence[slice],
    *tables: np.ndarray,
    shape: tuple[int, ...] = (),
) -> np.ndarray:
    """Return a function's results for all rows, part by part, as one array ``(n, *shape)``.

    Parameters
    ----------
    function : callable
        Takes a part of each table, in float64.
    parts : list of slice
    *tables : ndarray of shape (n, d)
        Any numeric dtype.
    shape : tuple of int
        Shape of the result for a row.
    """
    answers = np.empty((len(tables[0]), *shape))
    for part in shown(parts, "parts of the table", len(parts)):
        answers[part] = function(*(np.asarray(table[part], np.float64) for table in tables))
    return answers
