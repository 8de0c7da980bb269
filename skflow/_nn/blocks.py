"""Blocks of rows, which bound the memory of any computation.

A flow computes a *block* of rows at once, and several blocks in parallel. A method reads, casts to
float64, standardises and answers a *part* of a table before the next one. A part holds whole
blocks, so that results do not depend on where parts end.
"""

import numpy as np

from .._core.progress import shown

#: Most numbers in the widest tensor. A larger block does not fit into the processor's caches; in a
#: smaller one the overhead of calls dominates.
BLOCK_SIZE = 200_000
#: Least rows of a block: with wide conditioners fewer take as long, to read the weights.
LEAST_ROWS = 16
#: Numbers of a part of a table; an answer needs about ten times as many at once.
PART_SIZE = 2**19


def blocks(n_rows, numbers_per_row):
    """Return slices that cover ``n_rows`` rows in blocks of at least 16 rows."""
    size = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_row)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def parts(n_rows, numbers_per_row, numbers_per_block_row=BLOCK_SIZE):
    """Return slices that cover ``n_rows`` rows in parts of whole blocks."""
    block = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_block_row)
    size = block * max(1, PART_SIZE // (numbers_per_row * block))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def answer_in_parts(function, parts, *tables, shape=()):
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
