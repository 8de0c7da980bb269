"""Coupling structures: which features condition which, layer by layer.

A structure is a boolean array of shape `(n_layers, n_features)`. `True` marks a feature that the
layer transforms (the paper's part A, xi = 1), `False` one that passes unchanged and conditions the
others (part B, xi = 0).

The functions make such arrays. The layout classes say how to make one for a shape that is known
only in `fit`; they are what the argument `mask_layout` of the estimators takes, and their own
parameters can be searched in a grid (`mask_layout__n_iter`).
"""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ._derived import derive

__all__ = [
    "Custom",
    "Derived",
    "EvolutionarySearch",
    "Fixed",
    "Layout",
    "Parity",
    "Random",
    "Repeat",
    "alternating",
    "check_masks",
    "check_n_conditioning",
    "is_alternating",
    "parity",
    "random",
    "repeat",
    "resolve",
]

SEARCH_SPACES = ("free", "alternating")
MOVES = ("shuffle", "swap")
CANDIDATE_SCORES = ("auto", "train_batch", "validation")
# What Algorithm 1 of the paper says, where the defaults of the search are others.
PAPER_SEARCH = {
    "initial_layout": "random",
    "candidate_score": "train_batch",
    "search_space": "free",
}


def parity(n_layers, n_features):
    """Transform the even columns in layer 1, the odd ones in layer 2, and so on.

    Parameters
    ----------
    n_layers, n_features : int
        Shape of the structure.

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
        For one feature all True: an unconditional transform.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.parity(2, 5).astype(int)
    array([[1, 0, 1, 0, 1],
           [0, 1, 0, 1, 0]])
    """
    _check_integer(n_layers, "n_layers")
    _check_integer(n_features, "n_features")
    return alternating(np.arange(n_features) % 2 == 0, n_layers)


def random(n_layers, n_features, n_conditioning=None, random_state=None):
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
    _check_integer(n_layers, "n_layers")
    n_conditioning = check_n_conditioning(n_conditioning, n_features)
    rng = _check_rng(random_state)
    # The order of independent uniforms is a uniform permutation.
    ranks = rng.random((n_layers, n_features)).argsort(axis=1)
    return ranks >= n_conditioning


def alternating(mask, n_layers):
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
        With an odd number of features the sizes of the layers alternate too. With one feature,
        which has no complement to offer, every layer transforms it.

    Examples
    --------
    >>> from skflow import masks
    >>> masks.alternating([True, True, False, False], 3).astype(int)
    array([[1, 1, 0, 0],
           [0, 0, 1, 1],
           [1, 1, 0, 0]])
    """
    _check_integer(n_layers, "n_layers")
    mask = np.asarray(mask)
    if mask.ndim != 1:
        raise ValueError(
            f"mask has shape {mask.shape}, but the mask of one layer, of shape (n_features,), is "
            "needed. To repeat several layers use masks.repeat."
        )
    mask = check_masks(mask[np.newaxis], 1, len(mask), name="mask")[0]
    if len(mask) == 1:
        return np.ones((n_layers, 1), dtype=bool)
    return mask ^ (np.arange(n_layers) % 2 == 1)[:, np.newaxis]


def repeat(masks, n_layers):
    """Repeat a block of layers to another depth.

    So a pair that was found by a search at two layers can serve a flow of eight.

    Parameters
    ----------
    masks : array of bool, shape (n_block, n_features)
        The block.
    n_layers : int
        Depth of the structure. It need not be a multiple of `n_block`: the last block is cut short.

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
        Row i is row `i % n_block` of the block.

    Examples
    --------
    >>> from skflow import masks
    >>> pair = [[True, False, False], [False, True, True]]
    >>> masks.repeat(pair, 4).astype(int)
    array([[1, 0, 0],
           [0, 1, 1],
           [1, 0, 0],
           [0, 1, 1]])
    """
    _check_integer(n_layers, "n_layers")
    masks = np.asarray(masks)
    if masks.ndim != 2 or len(masks) == 0:
        raise ValueError(
            f"masks has shape {masks.shape}, but a block of shape (n_block, n_features) is needed. "
            "Pass a single layer as mask[np.newaxis]."
        )
    masks = check_masks(masks, *masks.shape, name="masks")
    return masks[np.arange(n_layers) % len(masks)]


def check_n_conditioning(n_conditioning, n_features):
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
        0 if there is only one feature: nothing is left to condition it.

    Notes
    -----
    The default floor(d/2) follows the text of the paper [1]_, which has m = floor(d/2)
    conditioning features. Its Eq. 5 and the shape which it gives for W read the other way round
    (m transformed ones). For even d the two readings agree.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    >>> from skflow import masks
    >>> [masks.check_n_conditioning(n, 7) for n in (None, 2, 0.7)]
    [3, 2, 5]
    """
    _check_integer(n_features, "n_features")
    most = n_features - 1
    if n_conditioning is None:
        return n_features // 2
    if _is_integer(n_conditioning):
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


def check_masks(masks, n_layers, n_features, *, name="mask_layout"):
    """Check that an array is a structure of the given shape.

    Parameters
    ----------
    masks : array of bool, shape (n_layers, n_features)
        The array to check. It is never coerced from another dtype: 0/1 arrays with the opposite
        meaning are common, and the difference would pass unnoticed.
    n_layers, n_features : int
        The shape that is needed.
    name : str, default="mask_layout"
        What error messages call the array.

    Returns
    -------
    masks : ndarray of bool, shape (n_layers, n_features)
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
    >>> masks.check_masks([[1, 0, 1]], 1, 3)
    Traceback (most recent call last):
        ...
    ValueError: mask_layout has dtype int64, but masks are boolean: ...
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
            advice = "Give one column for each feature of X."
        else:
            advice = "Set n_layers to its number of rows, or use masks.repeat(masks, n_layers)."
        raise ValueError(f"{name} has shape {masks.shape}, but {needed} is needed. {advice}")
    if masks.dtype != bool:
        raise ValueError(
            f"{name} has dtype {masks.dtype}, but masks are boolean: True is transformed, False "
            "conditions. If nonzero means transformed, convert it with .astype(bool)."
        )
    n_transformed = masks.sum(axis=1)
    for layer in np.flatnonzero(n_transformed == 0):
        raise ValueError(
            f"{name} transforms nothing in layer {layer + 1} of {n_layers} (row {layer} is all "
            "False). Set at least one feature of this layer to True, or leave the layer out."
        )
    for layer in np.flatnonzero(n_transformed == n_features) if n_features > 1 else ():
        raise ValueError(
            f"{name} transforms everything in layer {layer + 1} of {n_layers} (row {layer} is all "
            "True), so nothing conditions. Set at least one feature of this layer to False."
        )
    return masks


def is_alternating(masks):
    """Tell whether the odd layers are equal and the even ones their complement.

    Parameters
    ----------
    masks : ndarray of bool, shape (n_layers, n_features)

    Returns
    -------
    bool

    Examples
    --------
    >>> from skflow import masks
    >>> masks.is_alternating(masks.parity(4, 6))
    True
    """
    return np.array_equal(masks, alternating(masks[0], len(masks)))


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
        masks = self.function(n_layers, n_features, _check_rng(random_state))
        called = getattr(self.function, "__name__", type(self.function).__name__)
        name = f"What the function {called} given as mask_layout returned"
        return check_masks(masks, n_layers, n_features, name=name)


class Repeat(Layout):
    """Layout: a block of layers, repeated to the depth of the flow.

    `Repeat(pair)` takes a pair of masks that was found at two layers to any depth.

    Parameters
    ----------
    base : layout or what stands for one, default="random"
        Makes the block, see `resolve`. A search cannot be the base.
    block : int, default=2
        Number of layers of the block. Where the depth is no multiple, the last one is cut short.

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

    def __init__(self, base="random", block=2):
        self.base = base
        self.block = block

    @property
    def needs_data(self):
        return _resolve_start(self.base, "base").needs_data

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        _check_integer(self.block, "block")
        base = _resolve_start(self.base, "base")
        masks = base.make(
            self.block, n_features, n_conditioning=n_conditioning, random_state=random_state, X=X
        )
        return repeat(masks, n_layers)


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
        _check_integer(n_layers, "n_layers")
        _check_integer(self.max_evaluations, "max_evaluations")
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
        rng = _check_rng(random_state)
        mask = derive(np.asarray(X), n_conditioning, n_layers, rng, self.max_evaluations)
        return alternating(mask, n_layers)


class EvolutionarySearch(Layout):
    """Layout: the masks are found by an evolutionary search on the training data.

    The defaults differ from Algorithm 1 of the paper [1]_ where something else was measured to
    find better structures at the same effort; `EvolutionarySearch.paper()` is that algorithm. The
    search itself is run by the estimator that is given this layout; `make` gives its start.

    Parameters
    ----------
    n_iter : int, default=200
        Number of iterations (the paper's T), each of which offers one structure for acceptance.
    n_candidate_steps : int, default=50
        Optimizer steps which each candidate is trained for.
    n_offspring : int, default=1
        Number of offspring of an iteration, the best of which competes with the best so far.
    n_halvings : int, default=0
        Rounds of successive halving among the offspring of an iteration: the first round trains
        all for ``n_candidate_steps / 2**n_halvings`` steps, the better half goes on to twice that,
        until the rest is trained in full. It needs more than one offspring.
    n_candidate_init : int, default=1
        Trainings of each candidate, from different seeds; its cost is their mean.
    move : {"shuffle", "swap"}, default="shuffle"
        What an offspring changes in a selected layer: all entries of its mask are shuffled (the
        paper), or one transformed and one conditioning feature are exchanged.
    initial_layout : layout or what stands for one, default="derived"
        Makes the structure from which the search starts, see `resolve`; the paper starts at
        random. In the alternating space "random" gives a random mask and its complement; any other
        must itself be alternating.
    candidate_start : {"fresh", "inherit"}, default="fresh"
        Whether a candidate's parameters are drawn anew or continue from those of its parent. The
        paper leaves it open.
    candidate_score : {"auto", "train_batch", "validation"}, default="auto"
        Whether the cost of a candidate is its loss on the last training batch (the paper) or on
        validation rows, which is less noisy. "auto" takes validation rows where there are any.
    search_space : {"free", "alternating"}, default="alternating"
        "free": the layers' masks change independently (the paper). "alternating": one mask and its
        complement take turns, a far smaller space.
    n_iter_no_change : int or None, default=None
        Stop after that many iterations without a lower cost. None: never.
    n_jobs : int or None, default=None
        Number of processes over which candidates are spread, as joblib understands it.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, masks
    >>> search = masks.EvolutionarySearch(n_iter=10, n_candidate_steps=5)
    >>> flow = CouplingFlowDensity(2, mask_layout=search, max_iter=5, random_state=0)
    >>> flow.fit(load_iris().data).masks_.shape
    (2, 4)
    """

    def __init__(
        self,
        n_iter=200,
        *,
        n_candidate_steps=50,
        n_offspring=1,
        n_halvings=0,
        n_candidate_init=1,
        move="shuffle",
        initial_layout="derived",
        candidate_start="fresh",
        candidate_score="auto",
        search_space="alternating",
        n_iter_no_change=None,
        n_jobs=None,
    ):
        self.n_iter = n_iter
        self.n_candidate_steps = n_candidate_steps
        self.n_offspring = n_offspring
        self.n_halvings = n_halvings
        self.n_candidate_init = n_candidate_init
        self.move = move
        self.initial_layout = initial_layout
        self.candidate_start = candidate_start
        self.candidate_score = candidate_score
        self.search_space = search_space
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs

    @classmethod
    def paper(cls, **changed):
        """Return the search of the paper: Algorithm 1, as far as it is determined there.

        Parameters
        ----------
        **changed
            Parameters that shall differ from the paper's.

        Returns
        -------
        layout : EvolutionarySearch

        Examples
        --------
        >>> from skflow import masks
        >>> masks.EvolutionarySearch.paper(n_iter=50).search_space
        'free'
        """
        return cls(**{**PAPER_SEARCH, **changed})

    @property
    def needs_data(self):
        return _resolve_start(self.initial_layout, "initial_layout").needs_data

    def validate(self):
        """Check every parameter.

        Raises
        ------
        ValueError
            With a sentence that names the parameter, its value and what is allowed.
        """
        for name in ("n_iter", "n_candidate_steps", "n_offspring", "n_candidate_init"):
            _check_integer(getattr(self, name), name)
        self._check_halvings()
        _check_option(self.move, "move", MOVES)
        if self.n_iter_no_change is not None:
            _check_integer(self.n_iter_no_change, "n_iter_no_change", "None (never stop early)")
        _check_option(self.candidate_start, "candidate_start", ("fresh", "inherit"))
        _check_option(self.candidate_score, "candidate_score", CANDIDATE_SCORES)
        _check_option(self.search_space, "search_space", SEARCH_SPACES)
        if self.n_jobs is not None and (not _is_integer(self.n_jobs) or self.n_jobs == 0):
            raise ValueError(
                f"n_jobs={self.n_jobs!r} is not possible. Give a positive integer, -1 for all "
                "processors (-2 for all but one, and so on), or None."
            )
        _resolve_start(self.initial_layout, "initial_layout")

    def _check_halvings(self):
        most = self.n_offspring.bit_length() - 1
        if not _is_integer(self.n_halvings) or not 0 <= self.n_halvings <= most:
            raise ValueError(
                f"n_halvings={self.n_halvings!r} is not possible with "
                f"n_offspring={self.n_offspring}, which can be halved {most} times. Give an "
                "integer from 0 to that, or raise n_offspring."
            )

    def make(self, n_layers, n_features, *, n_conditioning=None, random_state=None, X=None):
        self.validate()
        layout = _resolve_start(self.initial_layout, "initial_layout")
        masks = layout.make(
            n_layers, n_features, n_conditioning=n_conditioning, random_state=random_state, X=X
        )
        if self.search_space == "free" or is_alternating(masks):
            return masks
        # Only a structure that nobody chose may be replaced silently.
        if isinstance(layout, Random):
            return alternating(masks[0], n_layers)
        raise ValueError(
            f"initial_layout={self.initial_layout!r} gives masks that are not alternating, but "
            "search_space='alternating' needs the even layers to be the complement of the odd "
            "ones. Use 'random', 'parity', 'derived', masks.alternating(mask, n_layers) or "
            "search_space='free'."
        )


# What a string given as `mask_layout` stands for.
_SHORTHANDS = {
    "parity": Parity,
    "random": Random,
    "derived": Derived,
    "search": EvolutionarySearch,
}


def resolve(mask_layout, *, name="mask_layout"):
    """Return the layout object that `mask_layout` stands for.

    Parameters
    ----------
    mask_layout : str, array of bool, callable or layout object
        "parity", "random", "derived" and "search" stand for `Parity()`, `Random()`, `Derived()`
        and `EvolutionarySearch()`, an array for `Fixed(masks)`, a function for `Custom(function)`.
        Any object that has a method `make` is a layout and passes through; it is given `X`, the
        training rows, if it has an attribute `needs_data` that is true.
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
    Parity()
    """
    if isinstance(mask_layout, str) and mask_layout in _SHORTHANDS:
        return _SHORTHANDS[mask_layout]()
    if isinstance(mask_layout, type):
        called = mask_layout.__name__
        raise ValueError(
            f"{name} is the class {called}, but an object is needed: write {called}(...)."
        )
    if hasattr(mask_layout, "make"):
        return mask_layout
    if isinstance(mask_layout, list | tuple) or hasattr(mask_layout, "__array__"):
        return Fixed(mask_layout)
    if callable(mask_layout):
        return Custom(mask_layout)
    raise ValueError(
        f"{name}={mask_layout!r} is not known. Use one of {', '.join(map(repr, _SHORTHANDS))}, a "
        "boolean array of shape (n_layers, n_features), a function f(n_layers, n_features, "
        "random_state) that returns one, or a layout object such as masks.Random()."
    )


def _resolve_start(layout, name):
    """Resolve a layout that must give masks at once, which a search does not."""
    resolved = resolve(layout, name=name)
    if isinstance(resolved, EvolutionarySearch):
        raise ValueError(
            f"{name}={layout!r} is itself a search. Use a layout that needs no training, such as "
            "'random' or 'derived', or run that search first and give its masks as an array."
        )
    return resolved


def _is_integer(value):
    # bool is an int to Python, but nobody asks for True layers.
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_integer(value, name, otherwise=None):
    if not _is_integer(value) or value < 1:
        allowed = "a positive integer" + (f" or {otherwise}" if otherwise else "")
        raise ValueError(f"{name}={value!r} is not possible. Give {allowed}.")


def _check_option(value, name, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name}={value!r} is not known. Use {' or '.join(map(repr, options))}.")


def _check_rng(random_state):
    # check_random_state does not take the newer Generator.
    if isinstance(random_state, np.random.Generator):
        return random_state
    return check_random_state(random_state)
