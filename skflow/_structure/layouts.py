"""The layouts without a search: by a rule, random, given, derived or repeated.

All of them are public in ``masks``. The search is in ``search_layout``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

from .._core.typing import ArrayLike, MaskLayout
from .derived import derive
from .layout import Layout, make_by
from .structures import (
    Rng,
    alternating,
    check_integer,
    check_masks,
    check_n_conditioning,
    check_rows,
    parity,
    random,
)


class Rule(Layout):
    """Layout: masks by a rule, an array or a function that do not depend on the data.

    As a `mask_layout`, "parity", "random", an array or a function stand for this layout.

    Parameters
    ----------
    rule : {"parity", "random"}, array of bool of shape (n_layers, n_features), or callable
        The strings name the functions `parity` and `random`. An array is used unchanged. A function
        `rule(n_layers, n_features, random_state)` returns such an array; `random_state` is a
        RandomState, or a Generator if one was given.
    n_conditioning : int, float or None, default=None
        Number (or fraction) of conditioning features of a layer, for "random". None is half of
        the features, rounded down.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Rule("parity").make(2, 4).astype(int)
    array([[1, 0, 1, 0],
           [0, 1, 0, 1]])
    >>> def first_given_rest(n_layers, n_features, random_state):
    ...     return masks.alternating([j == 0 for j in range(n_features)], n_layers)
    >>> masks.Rule(first_given_rest).make(2, 3).astype(int)
    array([[1, 0, 0],
           [0, 1, 1]])
    """

    def __init__(self, rule: MaskLayout, n_conditioning: int | float | None = None) -> None:
        self.rule = rule
        self.n_conditioning = n_conditioning

    def _make(self, n_layers: int, n_features: int, rng: Rng, X: ArrayLike | None) -> np.ndarray:
        if isinstance(self.rule, str):
            if self.rule == "parity":
                return parity(n_layers, n_features)
            if self.rule == "random":
                return random(n_layers, n_features, self.n_conditioning, rng)
            raise ValueError(f"rule={self.rule!r} is not known. Use 'parity' or 'random'.")
        if not callable(self.rule):
            return check_masks(self.rule, n_layers, n_features)
        masks = self.rule(n_layers, n_features, rng)
        called = getattr(self.rule, "__name__", type(self.rule).__name__)
        name = f"What the function {called} given as mask_layout returned"
        return check_masks(masks, n_layers, n_features, name=name)


class Derived(Layout):
    """Layout: pairs of a mask and its complement, derived from the data without training.

    The score of a mask is the code length of the training rows under a flow of two layers that
    least squares fits in closed form: linear models of part A and of the log-size of its residuals
    given part B, then of part B given the standardised residuals. The mask with the shortest code
    and its complement are the first pair of layers. The next pair is chosen in the same way for the
    residuals of these two, and so on: features on the same side of one pair, where neither
    conditions the other, are separated by another.

    Up to eight features, all masks are scored. With more, a search makes the best swaps under the
    linear part of the code, which needs only the covariance, then random swaps under the whole
    code. With more than 100 features the best of three masks is chosen.

    The paper [1]_ leaves open whether a good structure can be found from the data alone. The
    documentation measures how the score correlates with the likelihood of trained flows. The
    derivation uses at most 2000 rows and takes at most a second for few features.

    Parameters
    ----------
    conditioning_share : float, default=1.0
        Fraction of the conditioning features, above 0, that a layer keeps: those that shorten the
        code most. The others are idle, which makes flows of many features smaller.
    n_conditioning : int, float or None, default=None
        Number (or fraction) of the features that the first mask does not transform. None is half
        of the features, rounded down.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    Columns 0 and 1 depend on each other, and so do columns 2 and 3. A coupling can model the
    dependence of two columns only if one of them conditions the other.

    >>> import numpy as np
    >>> from skflow import masks
    >>> rng = np.random.default_rng(0)
    >>> common = rng.standard_normal((500, 2)).repeat(2, axis=1)
    >>> X = common + 0.1 * rng.standard_normal((500, 4))
    >>> made = masks.Derived().make(2, 4, X=X)
    >>> bool((made[0, [0, 2]] != made[0, [1, 3]]).all())
    True
    """

    def __init__(
        self,
        conditioning_share: float = 1.0,
        n_conditioning: int | float | None = None,
    ) -> None:
        self.conditioning_share = conditioning_share
        self.n_conditioning = n_conditioning

    def _make(self, n_layers: int, n_features: int, rng: Rng, X: ArrayLike | None) -> np.ndarray:
        if not 0 < self.conditioning_share <= 1:
            raise ValueError(
                f"conditioning_share={self.conditioning_share!r} is not possible. Give a number "
                "above 0 and at most 1."
            )
        n_conditioning = check_n_conditioning(self.n_conditioning, n_features)
        X = check_rows(X, n_features)
        if n_features == 1:
            return alternating([True], n_layers)
        return derive(X, n_conditioning, n_layers, rng, self.conditioning_share)


class Repeat(Layout):
    """Layout: a block of layers, repeated to the depth of the flow.

    `Repeat(pair)` takes a pair of masks that was found at two layers to any depth.

    Parameters
    ----------
    base : layout or shorthand, default="random"
        Makes the block, see `resolve`. A search cannot be the base.
    block : int, default=2
        Number of layers of the block, and of rows of an array. If the depth is not a multiple of
        it, the last block is cut.

    Examples
    --------
    >>> from skflow import masks
    >>> pair = [[True, False, False], [False, True, True]]
    >>> masks.Repeat(pair).make(4, 3).astype(int)
    array([[1, 0, 0],
           [0, 1, 1],
           [1, 0, 0],
           [0, 1, 1]])
    """

    def __init__(self, base: MaskLayout = "random", block: int = 2) -> None:
        self.base = base
        self.block = block

    def _make(self, n_layers: int, n_features: int, rng: Rng, X: ArrayLike | None) -> np.ndarray:
        check_integer(self.block, "block")
        base = resolve_maker(self.base, "base")
        masks = make_by(base, self.block, n_features, rng, X)
        return masks[np.arange(n_layers) % len(masks)]


def take_layout(layout: Any, kept: np.ndarray) -> Any:
    """Return the layout for the columns that a mask ``(d,)`` selects.

    Arrays of masks lose the other columns, and still transform at least one in each layer. Rules
    and functions do not change.
    """
    if hasattr(layout, "get_params") and not isinstance(layout, type):
        taken = {k: take_layout(v, kept) for k, v in layout.get_params(deep=False).items()}
        if isinstance(taken.get("n_conditioning"), Integral):
            taken["n_conditioning"] = min(taken["n_conditioning"], kept.sum() - 1) or None
        return type(layout)(**taken)
    if isinstance(layout, (list, tuple)) and any(np.ndim(part) != 1 for part in layout):
        return type(layout)(take_layout(part, kept) for part in layout)  # of several layouts
    if isinstance(layout, (list, tuple, np.ndarray)):
        masks = np.array(layout)
        if masks.ndim == 2 and masks.shape[1] == len(kept):
            absent = np.flatnonzero(~kept).tolist()
            name = f"Without the columns {absent} of X, of which nothing is known, mask_layout"
            return check_masks(masks[:, kept], len(masks), kept.sum(), name=name)
    return layout


#: Layouts that strings stand for. The search, which needs `resolve` itself, adds its own.
SHORTHANDS: dict[str, Callable[[], Any]] = {
    "parity": partial(Rule, "parity"),
    "random": partial(Rule, "random"),
    "derived": Derived,
}


def resolve(mask_layout: MaskLayout, *, name: str = "mask_layout") -> Any:
    """Return the layout object that `mask_layout` stands for.

    Parameters
    ----------
    mask_layout : str, array of bool, callable or layout object
        "derived", "race" and "search" stand for `Derived()`, `Race()` and `EvolutionarySearch()`;
        "parity", "random", an array or a function for a `Rule` of these.
        Any object with a method `make` or `choose` is a layout and is returned unchanged; `make`
        gets `X`, the training rows, if the object has a true attribute `needs_data`.
    name : str, default="mask_layout"
        What error messages call the argument.

    Returns
    -------
    layout : Layout

    Raises
    ------
    ValueError
        If `mask_layout` is none of these.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.resolve("parity")
    Rule(rule='parity')
    """
    if isinstance(mask_layout, str) and mask_layout in SHORTHANDS:
        return SHORTHANDS[mask_layout]()
    if isinstance(mask_layout, type):
        called = mask_layout.__name__
        raise ValueError(
            f"{name} is the class {called}, but an object is needed: write {called}(...)."
        )
    # first, as arrays also have a method choose
    if isinstance(mask_layout, list | tuple) or hasattr(mask_layout, "__array__"):
        return Rule(mask_layout)
    if hasattr(mask_layout, "make") or hasattr(mask_layout, "choose"):
        return mask_layout
    if callable(mask_layout):
        return Rule(mask_layout)
    raise ValueError(
        f"{name}={mask_layout!r} is not known. Use one of {', '.join(map(repr, SHORTHANDS))}, a "
        "boolean array of shape (n_layers, n_features), a function f(n_layers, n_features, "
        "random_state) that returns one, or a layout object such as masks.Repeat('random')."
    )


def resolve_maker(layout: MaskLayout, name: str) -> Any:
    """Resolve a layout that must not train candidates."""
    resolved = resolve(layout, name=name)
    if getattr(type(resolved), "choose", Layout.choose) is not Layout.choose:
        raise ValueError(
            f"{name}={layout!r} is itself a search. Use a layout that needs no training, such as "
            "'random' or 'derived', or run that search first and give its masks as an array."
        )
    return resolved
