"""Blocks of rows."""

import numpy as np
import pytest

from skflow._nn import blocks as _blocks
from skflow._nn.blocks import blocks


@pytest.mark.parametrize("numbers_per_row", [1, 7, 10**9])
@pytest.mark.parametrize("n_rows", [0, 1, 10, 101])
def test_blocks_cover_every_row_once(monkeypatch, n_rows, numbers_per_row):
    monkeypatch.setattr(_blocks, "BLOCK_SIZE", 70)
    monkeypatch.setattr(_blocks, "LEAST_ROWS", 3)
    parts = [np.arange(n_rows)[block] for block in blocks(n_rows, numbers_per_row)]
    assert np.concatenate([*parts, []]).tolist() == list(range(n_rows))
    assert all(0 < len(part) <= max(3, 70 // numbers_per_row) for part in parts)
