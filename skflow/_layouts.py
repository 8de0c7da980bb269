"""Layouts: objects that make a structure for a shape which is known only in ``fit``.

Those that are made of other layouts are in ``masks``, where all of them are public.
"""

import numpy as np
from sklearn.base import BaseEstimator

from ._derived import derive
from ._structures import (
    alternating,
    check_integer,
    check_masks,
    check_n_conditioning,
    check_rng,
    parity,
    random,
)


class Layout(BaseEstimator):
    """Base of the layouts: what `make` takes and returns.

    A class of one's own that derives from it needs a method `make`.

    Examples
    --------
    >>> from skflow import masks
    >>> class Halves(masks.Layout):
    ...     def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None):
    ...         first = [i < n_features // 2 for i in range(n_features)]
    ...         return masks.alternating(first, n_layers)
    >>> Halves().make(2, 4).astype(int)
    array([[1, 1, 0, 0],
           [0, 0, 1, 1]])
    """

    #: Whether `make` needs `X`.
    needs_data = False

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        """Make the masks.

        Parameters
        ----------
        n_layers, n_features : int
            Shape of the structure.
        n_conditioning : int, float or None, default=None
            What the estimator was given, see `check_n_conditioning`. Layouts whose sizes follow
            from a rule, an array or a function ignore it.
        random_state : int, RandomState, Generator or None, default=None
            Source of the draws, where there are any.
        X : ndarray of shape (n_samples, n_features) or None, default=None
            Training rows, for layouts that are derived from the data; the others ignore them.

        Returns
        -------
        masks : ndarray of bool, shape (n_layers, n_features)
            Checked, and a new array with each call.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method make.")


class Parity(Layout):
    """Layout: layer 1 transforms the even columns, layer 2 the odd ones, and so on.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Parity().make(2, 4).astype(int)
    array([[1, 0, 1, 0],
           [0, 1, 0, 1]])
    """

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        return parity(n_layers, n_features)


class Random(Layout):
    """Layout: each layer's conditioning features are drawn uniformly.

    Parameters
    ----------
    n_conditioning : int, float or None, default=None
        Number or fraction of conditioning features, see `check_n_conditioning`. None leaves it to
        the estimator's own `n_conditioning`.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Random(n_conditioning=0.25).make(2, 8, random_state=0).sum(axis=1)
    array([6, 6])
    """

    def __init__(self, n_conditioning=None):
        self.n_conditioning = n_conditioning

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        if self.n_conditioning is not None:
            n_conditioning = self.n_conditioning
        return random(n_layers, n_features, n_conditioning, random_state)


class Fixed(Layout):
    """Layout: the masks are given.

    Parameters
    ----------
    masks : array of bool, shape (n_layers, n_features)
        True is transformed, False conditions.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.Fixed([[True, False], [False, True]]).make(2, 2)
    array([[ True, False],
           [False,  True]])
    """

    def __init__(self, masks):
        self.masks = masks

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        return check_masks(self.masks, n_layers, n_features)


class Custom(Layout):
    """Layout: a function makes the masks.

    Parameters
    ----------
    function : callable
        `function(n_layers, n_features, random_state)` returns a boolean array of shape
        `(n_layers, n_features)`. `random_state` is a RandomState, or a Generator if one was given.

    Examples
    --------
    >>> from skflow import masks
    >>> def first_given_rest(n_layers, n_features, random_state):
    ...     return masks.alternating([j == 0 for j in range(n_features)], n_layers)
    >>> masks.Custom(first_given_rest).make(2, 3).astype(int)
    array([[1, 0, 0],
           [0, 1, 1]])
    """

    def __init__(self, function):
        self.function = function

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        masks = self.function(n_layers, n_features, check_rng(random_state))
        called = getattr(self.function, "__name__", type(self.function).__name__)
        name = f"What the function {called} given as mask_layout returned"
        return check_masks(masks, n_layers, n_features, name=name)


class Derived(Layout):
    """Layout: a mask and its complement take turns, chosen by a score of the data, no training.

    A mask is scored by the code length of the training rows under a flow of two layers that least
    squares fits in closed form: each feature of part A is predicted linearly from part B, the
    logarithm of the size of what remains likewise, and then part B from the standardised remains.
    The mask of the shortest code is taken. With at most `max_evaluations` masks (500 are enough
    for up to 11 features) all are scored; otherwise a search starts from the best swaps under the
    linear part of the code, which needs the covariance alone, and goes on by random swaps under
    all of it.

    The score answers a question that the paper [1]_ leaves open, whether a good structure can be
    told from the data. How it correlates with the likelihood of trained flows is measured in the
    documentation; it needs seconds, and a few hundred rows.

    Parameters
    ----------
    max_evaluations : int, default=500
        Masks that are scored at most. A score of 4000 rows takes about 1 ms with 10 features and
        30 ms with 200.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    Columns 0 and 1 are a pair, columns 2 and 3 another; a coupling sees the dependence of a pair
    only where one of the two conditions the other.

    >>> import numpy as np
    >>> from skflow import masks
    >>> rng = np.random.default_rng(0)
    >>> common = rng.standard_normal((500, 2)).repeat(2, axis=1)
    >>> X = common + 0.1 * rng.standard_normal((500, 4))
    >>> made = masks.Derived().make(2, 4, X=X)
    >>> bool((made[0, [0, 2]] != made[0, [1, 3]]).all())
    True
    """

    needs_data = True

    def __init__(self, max_evaluations=500):
        self.max_evaluations = max_evaluations

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        check_integer(n_layers, "n_layers")
        check_integer(self.max_evaluations, "max_evaluations")
        n_conditioning = check_n_conditioning(n_conditioning, n_features)
        if X is None:
            raise ValueError(
                "A derived layout needs the data: pass X, the training rows, as fit does."
            )
        if np.ndim(X) != 2 or np.shape(X)[1] != n_features:
            raise ValueError(
                f"X has shape {np.shape(X)}, but (n_samples, n_features) with "
                f"n_features={n_features} is needed."
            )
        if n_features == 1:
            return alternating([True], n_layers)
        rng = check_rng(random_state)
        mask = derive(np.asarray(X), n_conditioning, n_layers, rng, self.max_evaluations)
        return alternating(mask, n_layers)
