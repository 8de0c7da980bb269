"""How many rows are computed at once, which bounds the memory that any number of rows needs."""

#: Numbers in the widest tensor at once. With more, a block no longer fits into the processor's
#: caches; with fewer, calls cost more than the work.
BLOCK_SIZE = 200_000
#: Rows at least: fewer take as long, where reading the weights of wide conditioners is the work.
LEAST_ROWS = 16


def blocks(n_rows, numbers_per_row):
    """Slices that cover ``n_rows`` rows, each of as many rows as fit into a block, at least 16."""
    size = max(LEAST_ROWS, BLOCK_SIZE // numbers_per_row)
    return [slice(start, start + size) for start in range(0, n_rows, size)]
