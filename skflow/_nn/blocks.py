"""How many rows are computed at once, which bounds the memory that any number of rows needs.

There are two sizes. Within a *block* a flow computes, and several blocks go side by side. A *part*
of a table is what a method reads, casts to float64, standardises and answers before it goes on to
the next. A part holds whole blocks, so that answers do not depend on where parts end.
"""

import numpy as np

from .._core.progress import shown

#: Numbers in the widest tensor at once. With more, a block no longer fits into the processor's
#: caches; with fewer, calls cost more than the work.
BLOCK_SIZE = 200_000
#: Rows at least: fewer take as long, where reading the weights of wide conditioners is the work.
LEAST_ROWS = 16
#: Numbers of a part of a table; about ten times as much is held at once while it is answered.
PART_SIZE = 2**19


def blocks(n_rows, numbers_per_row):
    """Slices that cover ``n_rows`` rows, each of as many rows as fit into a block, at least 16."""
    size = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_row)
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def parts(n_rows, numbers_per_row, numbers_per_block_row=BLOCK_SIZE):
    """Slices that cover ``n_rows`` rows, each of as many whole blocks as fit into a part."""
    block = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_block_row)
    size = block * max(1, PART_SIZE // (numbers_per_row * block))
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def answer_in_parts(function, parts, *tables, shape=()):
    """What a function says of rows, part by part, as one array ``(n, *shape)``.

    Parameters
    ----------
    function : callable
        Of a part of each table, in float64.
    parts : list of slice
    *tables : ndarray of shape (n, d)
        Of any dtype of numbers.
    shape : tuple of int
        That of the answer for a row.
    """
    answers = np.empty((len(tables[0]), *shape))
    for part in shown(parts, "parts of the table", len(parts)):
        answers[part] = function(*(np.asarray(table[part], np.float64) for table in tables))
    return answers
