"""Coupling structures: which features condition which, layer by layer.

A structure is a boolean array of shape `(n_layers, n_features)`. `True` marks a feature that the
layer transforms (the paper's part A, xi = 1), `False` one that passes unchanged and conditions the
others (part B, xi = 0).

The functions make such arrays. The layout classes say how to make one for a shape that is known
only in `fit`; they are what the argument `mask_layout` of the estimators takes, and their own
parameters can be searched in a grid (`mask_layout__n_iter`).
"""

from ._layouts import Custom, Derived, Fixed, Layout, Parity, Random
from ._structures import (
    SEARCH_SPACES,
    alternating,
    check_integer,
    check_masks,
    check_n_conditioning,
    is_alternating,
    is_integer,
    parity,
    random,
    repeat,
)

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

MOVES = ("shuffle", "swap")
CANDIDATE_SCORES = ("auto", "train_batch", "validation")
# What Algorithm 1 of the paper says, where the defaults of the search are others.
PAPER_SEARCH = {
    "initial_layout": "random",
    "candidate_score": "train_batch",
    "search_space": "free",
    "n_finalists": 1,
}


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
        check_integer(self.block, "block")
        base = _resolve_start(self.base, "base")
        masks = base.make(
            self.block, n_features, n_conditioning=n_conditioning, random_state=random_state, X=X
        )
        return repeat(masks, n_layers)


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
    n_finalists : int or "auto", default="auto"
        Number of structures, those of the lowest costs, that are trained side by side as the final
        flow is; the best of them, on validation rows where there are any, is kept, as what costs
        least after few steps need not be the best after all. "auto" spends as many steps on them
        as on the candidates, with at most 8; the paper trains one.
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
        n_finalists="auto",
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
        self.n_finalists = n_finalists
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
            check_integer(getattr(self, name), name)
        self._check_halvings()
        _check_option(self.move, "move", MOVES)
        if self.n_iter_no_change is not None:
            check_integer(self.n_iter_no_change, "n_iter_no_change", "None (never stop early)")
        _check_option(self.candidate_start, "candidate_start", ("fresh", "inherit"))
        _check_option(self.candidate_score, "candidate_score", CANDIDATE_SCORES)
        _check_option(self.search_space, "search_space", SEARCH_SPACES)
        if not isinstance(self.n_finalists, str) or self.n_finalists != "auto":
            check_integer(self.n_finalists, "n_finalists", "'auto'")
        if self.n_jobs is not None and (not is_integer(self.n_jobs) or self.n_jobs == 0):
            raise ValueError(
                f"n_jobs={self.n_jobs!r} is not possible. Give a positive integer, -1 for all "
                "processors (-2 for all but one, and so on), or None."
            )
        _resolve_start(self.initial_layout, "initial_layout")

    def _check_halvings(self):
        most = self.n_offspring.bit_length() - 1
        if not is_integer(self.n_halvings) or not 0 <= self.n_halvings <= most:
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


def _check_option(value, name, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name}={value!r} is not known. Use {' or '.join(map(repr, options))}.")
