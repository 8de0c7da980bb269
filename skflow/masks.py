"""Coupling structures: which features condition which, layer by layer.

A structure is a boolean array of shape `(n_layers, n_features)`. `True` marks a feature that the
layer transforms (the paper's part A, xi = 1). `False` marks one that passes unchanged and
conditions the others (part B, xi = 0). A structure with a third role is an array of the numbers 1
(transformed), 0 (conditions) and `IDLE`, -1: an idle feature passes unchanged and conditions
nothing, and the layer has no parameters for it.

The functions make structures. The layout classes choose one when `fit` knows the shape: pass an
instance as `mask_layout` to an estimator. A grid search can set its parameters
(`mask_layout__n_iter`).
"""

from ._nn.mask_arrays import IDLE
from ._structure.layout import Choice, Layout
from ._structure.layouts import Derived, Repeat, Rule, resolve
from ._structure.race import Race
from ._structure.search import SearchRecord
from ._structure.search_layout import EvolutionarySearch
from ._structure.structures import (
    alternating,
    check_masks,
    check_n_conditioning,
    is_alternating,
    parity,
    random,
)
from ._structure.triangular import Triangular

__all__ = [
    "IDLE",
    "Choice",
    "Derived",
    "EvolutionarySearch",
    "Layout",
    "Race",
    "Repeat",
    "Rule",
    "SearchRecord",
    "Triangular",
    "alternating",
    "check_masks",
    "check_n_conditioning",
    "is_alternating",
    "parity",
    "random",
    "resolve",
]

for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__  # the name that saved files contain
