"""StructureSearchFlow: the structure search with its parameters on the estimator."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .._structure.search_layout import PAPER_SEARCH, EvolutionarySearch
from .._support.typing import MaskLayout, RandomState
from .base import BaseFlowDensity

if TYPE_CHECKING:
    from typing_extensions import Self


# Parameters of the layout whose names mean something else on an estimator.
_NAMES = {"n_iter": "n_search_iter", "n_iter_no_change": "n_search_iter_no_change"}


class StructureSearchFlow(BaseFlowDensity):
    """Coupling flow whose masks are found by an evolutionary search on the training data.

    As in Algorithm 1 of [1]_: start from a structure; in each iteration shuffle the masks of a
    random selection of layers (their number is geometric with p = 0.5), train the offspring for a
    few steps, and keep it if its cost is not higher than the best so far. Then flows are trained
    with the best structures, and the best of these is kept. It is a ``CouplingFlowDensity`` whose
    layout is ``masks.EvolutionarySearch``, with the parameters of the search flat on the estimator.

    The defaults search where more is found at the same effort: among alternating masks, from the
    structure that is derived from the data, by the likelihood of validation rows.
    ``StructureSearchFlow.paper()`` has the paper's search.

    Iterations are evaluated several at a time as one stack, on the assumption that none of them is
    accepted, and what follows an acceptance is drawn again; the result is that of one at a time.

    Parameters
    ----------
    n_layers : int, default=6
        Number of layers; each is a coupling followed by a constant affine map.
    n_search_iter, n_search_iter_no_change
        ``n_iter`` and ``n_iter_no_change`` of ``masks.EvolutionarySearch``: the number of
        iterations, the paper's T, and after how many without a lower cost the search ends early.
    n_candidate_steps, n_candidate_init, move, initial_layout, candidate_score, search_space, \
parameter_price, n_finalists, max_time, checkpoint, n_jobs
        As in ``masks.EvolutionarySearch``.
    n_conditioning, coupling, n_bins, hidden_layer_sizes, activation, standardize, dequantize, \
bounds, categorical_features, handle_unknown, spikes, noise, tail_weight, n_init, n_estimators, \
solver, learning_rate, learning_rate_init, alpha, batch_size, max_iter, early_stopping, \
validation_fraction, n_iter_no_change, tol, device, verbose, random_state
        As in ``CouplingFlowDensity``. Candidates are trained in the same way, with the schedule
        compressed to ``n_candidate_steps``.
    warm_start : bool, default=False
        Continue from the last fit. If ``n_search_iter`` exceeds the iterations in
        ``search_history_`` (it was raised, or the search was interrupted), the search goes on as
        it would have without the break, and its finalists are trained anew; otherwise, and with one
        finalist whose masks are those in use, the training goes on.

    Attributes
    ----------
    search_history_ : list of SearchRecord
        One record ``(iteration, masks, cost, accepted, best_cost)`` for each iteration;
        iteration 0 is the start. Costs are negative log-likelihoods in nats a row, in the
        units of the data, after the short training.
    initial_masks_ : ndarray of bool, shape (n_layers, n_features)
        Where the search started.
    search_stop_reason_ : {"n_iter", "n_iter_no_change", "max_time", "interrupted"}
        Why the search ended: at which limit, or by Ctrl-C.
    masks_ : ndarray of bool, shape (n_layers, n_features)
        The best of the finalists, in use.
    columns_, location_, scale_, grid_steps_, weights_, component_names_, tail_weight_, n_iter_, \
loss_curve_, validation_scores_, n_parameters_, n_features_in_, feature_names_in_
        As in ``CouplingFlowDensity``.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import StructureSearchFlow
    >>> X = load_iris().data
    >>> flow = StructureSearchFlow(
    ...     n_layers=2, n_search_iter=20, coupling="affine", max_iter=30, random_state=0
    ... ).fit(X)
    >>> len(flow.search_history_)
    21
    >>> flow.masks_.shape
    (2, 4)
    """

    _quick: dict = {
        **BaseFlowDensity._quick,
        "n_search_iter": 1,
        "n_finalists": 1,
        "checkpoint": None,
    }

    _parameter_constraints = {
        **BaseFlowDensity._parameter_constraints,
        **{
            _NAMES.get(name, name): constraint
            for name, constraint in EvolutionarySearch._parameter_constraints.items()
        },
    }

    def __init__(
        self,
        n_layers: int = 6,
        *,
        n_search_iter: int = 200,
        n_candidate_steps: int = 50,
        n_candidate_init: int = 1,
        move: str = "shuffle",
        initial_layout: MaskLayout = "derived",
        candidate_score: str = "auto",
        search_space: str = "alternating",
        parameter_price: float = 0.0,
        n_finalists: int | str = "auto",
        n_search_iter_no_change: int | None = None,
        max_time: float | None = None,
        checkpoint: str | PathLike | None = None,
        n_jobs: int | None = None,
        n_conditioning: int | float | None = None,
        coupling: str = "spline",
        n_bins: int = 8,
        hidden_layer_sizes: int | Sequence[int] = (64, 64),
        activation: str = "relu",
        standardize: bool = True,
        dequantize: bool = False,
        bounds: Any = None,
        categorical_features: Any = "from_dtype",
        handle_unknown: str = "rare",
        spikes: bool = True,
        noise: float = 0.0,
        tail_weight: float | str = "auto",
        n_init: int = 1,
        n_estimators: int = 1,
        solver: str = "adam",
        learning_rate: str = "one_cycle",
        learning_rate_init: float | str = "auto",
        alpha: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: float | str = "auto",
        early_stopping: bool = True,
        validation_fraction: float | str = "auto",
        n_iter_no_change: int | str | None = "auto",
        tol: float = 0.0,
        warm_start: bool = False,
        device: str = "cpu",
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_layers = n_layers
        self.n_search_iter = n_search_iter
        self.n_candidate_steps = n_candidate_steps
        self.n_candidate_init = n_candidate_init
        self.move = move
        self.initial_layout = initial_layout
        self.candidate_score = candidate_score
        self.search_space = search_space
        self.parameter_price = parameter_price
        self.n_finalists = n_finalists
        self.n_search_iter_no_change = n_search_iter_no_change
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs
        self.n_conditioning = n_conditioning
        self.coupling = coupling
        self.n_bins = n_bins
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.standardize = standardize
        self.dequantize = dequantize
        self.bounds = bounds
        self.categorical_features = categorical_features
        self.handle_unknown = handle_unknown
        self.spikes = spikes
        self.noise = noise
        self.tail_weight = tail_weight
        self.n_init = n_init
        self.n_estimators = n_estimators
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @classmethod
    def paper(cls, n_layers: int = 6, **params: Any) -> Self:
        """Return an estimator whose search is Algorithm 1 of the paper to the letter.

        The flow and its training keep the defaults of the package; ``coupling="affine",
        hidden_layer_sizes=(), solver="sgd", learning_rate="cyclic", tail_weight=0`` is the paper's
        flow.

        Parameters
        ----------
        n_layers : int, default=6
            Number of layers.
        **params
            Parameters that shall differ.

        Returns
        -------
        estimator : StructureSearchFlow

        Examples
        --------
        >>> from skflow import StructureSearchFlow
        >>> StructureSearchFlow.paper(n_layers=2).search_space
        'free'
        """
        return cls(n_layers, **{**PAPER_SEARCH, **params})

    def _layout(self):
        search = EvolutionarySearch()
        names = search.get_params(deep=False)
        return search.set_params(**{name: getattr(self, _NAMES.get(name, name)) for name in names})
