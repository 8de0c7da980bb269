"""Structures as arrays: functions that make and check masks ``(n_layers, n_features)``.

They are public in ``skflow.masks``, which documents the entries.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from .._core.typing import ArrayLike, RandomSource
from .._nn.mask_arrays import IDLE

#: What draws, as `check_rng` returns it.
Rng = np.random.RandomState | np.random.Generator


def parity(n_layers: int, n_features: int) -> np.ndarray:
    """Transform the even columns in layer 1, the odd ones in layer 2, and so on.

    Parameters
    ----------
    n_layers, n_features : int
        Shape of the structure.

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
        For one feature all True: an unconditional map.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.parity(2, 5).astype(int)
    array([[1, 0, 1, 0, 1],
           [0, 1, 0, 1, 0]])
    """
    check_integer(n_layers, "n_layers")
    check_integer(n_features, "n_features")
    return alternating(np.arange(n_features) % 2 == 0, n_layers)


def random(
    n_layers: int,
    n_features: int,
    n_conditioning: int | float | None = None,
    random_state: RandomSource = None,
) -> np.ndarray:
    """Draw each layer's conditioning features uniformly, the same number in every layer.

    Parameters
    ----------
    n_layers, n_features : int
        Shape of the structure.
    n_conditioning : int, float or None, default=None
        Number of conditioning features of a layer, see `check_n_conditioning`.
    random_state : int, RandomState, Generator or None, default=None
        Source of the draws.

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)

    Examples
    --------
    >>> from skflow import masks
    >>> masks.random(2, 5, n_conditioning=2, random_state=0).sum(axis=1)
    array([3, 3])
    """
    check_integer(n_layers, "n_layers")
    n_conditioning = check_n_conditioning(n_conditioning, n_features)
    rng = check_rng(random_state)
    # The order of independent uniforms is a uniform permutation.
    ranks = rng.random((n_layers, n_features)).argsort(axis=1)
    return ranks >= n_conditioning


def alternating(mask: ArrayLike, n_layers: int) -> np.ndarray:
    """Give `mask` to the odd layers and its complement to the even ones.

    Parameters
    ----------
    mask : array of bool, shape (n_features,)
        Mask of layers 1, 3, ...
    n_layers : int
        Depth of the structure.

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
        With an odd number of features the sizes of the layers alternate, too. A single feature is
        transformed by every layer.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.alternating([True, True, False, False], 3).astype(int)
    array([[1, 1, 0, 0],
           [0, 0, 1, 1],
           [1, 1, 0, 0]])
    """
    check_integer(n_layers, "n_layers")
    mask = np.asarray(mask)
    if mask.ndim != 1:
        raise ValueError(
            f"mask has shape {mask.shape}, but the mask of one layer, of shape (n_features,), is "
            "needed. To repeat several layers use masks.Repeat."
        )
    mask = check_masks(mask[np.newaxis], 1, len(mask), name="mask")[0]
    if mask.dtype != bool:
        raise ValueError(
            "mask has idle features, which alternating layers would never transform. Give a "
            "boolean mask, or an array of all layers."
        )
    if len(mask) == 1:
        return np.ones((n_layers, 1), dtype=bool)
    return mask ^ (np.arange(n_layers) % 2 == 1)[:, np.newaxis]


def check_n_conditioning(n_conditioning: int | float | None, n_features: int) -> int:
    """Return the number of conditioning features of a layer, the size of part B.

    Parameters
    ----------
    n_conditioning : int, float or None
        None: half of the features, rounded down. An integer from 1 to `n_features - 1`: that many.
        A float between 0 and 1: that fraction of the features, but at least one and not all.
    n_features : int
        Number of features, d.

    Returns
    -------
    n_conditioning : int
        0 if there is only one feature.

    Notes
    -----
    The default floor(d/2) follows the text of the paper [1]_, which has m = floor(d/2)
    conditioning features. Its Eq. 5 and its shape of W imply m transformed features instead. For
    even d both agree.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    >>> from skflow import masks
    >>> [masks.check_n_conditioning(n, 7) for n in (None, 2, 0.7)]
    [3, 2, 5]
    """
    check_integer(n_features, "n_features")
    most = n_features - 1
    if n_conditioning is None:
        return n_features // 2
    if is_integer(n_conditioning):
        if min(1, most) <= n_conditioning <= most:
            return int(n_conditioning)
    elif isinstance(n_conditioning, Real) and 0 < n_conditioning < 1:
        return min(most, max(1, round(float(n_conditioning) * n_features)))
    if n_features == 1:
        allowed = "With one feature nothing is left to condition it: leave n_conditioning=None."
    else:
        allowed = (
            f"Give an integer from 1 to {most}, a fraction as a float between 0 and 1 (both "
            f"excluded), or None for half of the features ({n_features // 2})."
        )
    raise ValueError(
        f"n_conditioning={n_conditioning!r} is not possible with n_features={n_features}. {allowed}"
    )


def check_masks(
    masks: ArrayLike, n_layers: int, n_features: int, *, name: str = "mask_layout"
) -> np.ndarray:
    """Check a structure and return a copy of it.

    Parameters
    ----------
    masks : array of shape (n_layers, n_features)
        The array to check: boolean, or 1, 0 and `IDLE` with idle features. Other dtypes are not
        converted: 0/1 arrays with the opposite meaning are common and would pass unnoticed.
    n_layers, n_features : int
        The required shape.
    name : str, default="mask_layout"
        Name of the array in error messages.

    Returns
    -------
    masks : ndarray of bool, or of int8 with idle features, shape (n_layers, n_features)
        A copy.

    Raises
    ------
    ValueError
        If the dimension, shape or dtype is wrong, or if a layer transforms no feature or, unless
        there is only one, all of them.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.check_masks([[True, False, True]], 1, 3)
    array([[ True, False,  True]])
    >>> masks.check_masks([[1, 0, masks.IDLE]], 1, 3)
    array([[ 1,  0, -1]], dtype=int8)
    >>> masks.check_masks([[1, 0, 1]], 1, 3)
    Traceback (most recent call last):
        ...
    ValueError: mask_layout has dtype int64 and no idle feature, but such masks are bool...
    """
    needed = f"(n_layers, n_features) = ({n_layers}, {n_features})"
    try:
        masks = np.array(masks)
    except ValueError:
        raise ValueError(
            f"{name} cannot be made an array, as its layers differ in length. Give a boolean array "
            f"of shape {needed}."
        ) from None
    if masks.shape != (n_layers, n_features):
        if masks.ndim != 2:
            advice = "Give one row for each layer, also if there is only one."
        elif masks.shape[1] != n_features:
            advice = "Give one column for each feature of X that is not categorical."
        else:
            advice = "Set n_layers to its number of rows, or use masks.Repeat(masks, block)."
        raise ValueError(f"{name} has shape {masks.shape}, but {needed} is needed. {advice}")
    masks = _checked_roles(masks, name)
    n_transformed = (masks == 1).sum(axis=1)
    for layer in np.flatnonzero(n_transformed == 0):
        raise ValueError(
            f"{name} transforms nothing in layer {layer + 1} of {n_layers} (no entry of row "
            f"{layer} is True). Set at least one feature of this layer to True, or leave the layer "
            "out."
        )
    for layer in np.flatnonzero(n_transformed == n_features) if n_features > 1 else ():
        raise ValueError(
            f"{name} transforms everything in layer {layer + 1} of {n_layers} (row {layer} is all "
            "True), so nothing conditions. Set at least one feature of this layer to False."
        )
    return masks


def _checked_roles(masks: np.ndarray, name: str) -> np.ndarray:
    if masks.dtype == bool:
        return masks
    integers = np.issubdtype(masks.dtype, np.integer)
    if not integers or not (masks == IDLE).any():
        raise ValueError(
            f"{name} has dtype {masks.dtype} and no idle feature, but such masks are boolean: True "
            "is transformed, False conditions. If nonzero means transformed, convert it with "
            ".astype(bool)."
        )
    if not np.isin(masks, (1, 0, IDLE)).all():
        raise ValueError(
            f"{name} has values from {masks.min()} to {masks.max()}, but roles are 1 (transformed),"
            f" 0 (conditions) and masks.IDLE = {IDLE}."
        )
    return masks.astype(np.int8)


def is_alternating(masks: ArrayLike) -> bool:
    """Return whether the odd layers are equal and the even ones their complement.

    Parameters
    ----------
    masks : ndarray of shape (n_layers, n_features)

    Returns
    -------
    bool

    Examples
    --------
    >>> from skflow import masks
    >>> masks.is_alternating(masks.parity(4, 6))
    True
    """
    masks = np.asarray(masks)
    return masks.dtype == bool and np.array_equal(masks, alternating(masks[0], len(masks)))


def is_integer(value: Any) -> bool:
    # bool is an int in Python
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_integer(value: Any, name: str, otherwise: str | None = None) -> None:
    if not is_integer(value) or value < 1:
        allowed = "a positive integer" + (f" or {otherwise}" if otherwise else "")
        raise ValueError(f"{name}={value!r} is not possible. Give {allowed}.")


def check_rows(X: ArrayLike | None, n_features: int) -> np.ndarray:
    """Return the training rows of a layout as an array ``(n_samples, n_features)``."""
    if X is None:
        raise ValueError(
            "This layout is derived from the data: pass X, the training rows, as fit does."
        )
    if np.ndim(X) != 2 or np.shape(X)[1] != n_features:
        raise ValueError(
            f"X has shape {np.shape(X)}, but (n_samples, n_features) with n_features={n_features} "
            "is needed."
        )
    return np.asarray(X)


def check_rng(random_state: RandomSource) -> Rng:
    # check_random_state does not accept a Generator
    if isinstance(random_state, np.random.Generator):
        return random_state
    return check_random_state(random_state)
