"""Types of public arguments, for type checkers and editors; ``fit`` checks what is allowed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: What scikit-learn takes for a random state.
RandomState = int | np.random.RandomState | None
#: What makers of masks take for it.
RandomSource = RandomState | np.random.Generator
#: A name, an array, a function or an object that makes masks: see ``masks.resolve``.
MaskLayout = str | ArrayLike | Callable[..., Any] | Any
#: Names of columns; None if they have none.
Names = Sequence[Any] | np.ndarray | None

__all__ = ["ArrayLike", "MaskLayout", "Names", "RandomSource", "RandomState"]
