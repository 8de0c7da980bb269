"""The density estimators: coupling flows with masks as a hyperparameter, or from a search."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from . import masks
from ._core.typing import MaskLayout, RandomState
from ._density.base import BaseFlowDensity
from ._nn.settings import Training
from ._structure.search_layout import PAPER_SEARCH, EvolutionarySearch

if TYPE_CHECKING:
    from typing_extensions import Self


class CouplingFlowDensity(BaseFlowDensity):
    """Density estimation with a coupling normalizing flow.

    A flow maps the data to a standard normal distribution by a chain of invertible layers. The
    change of variables yields the exact density of every row, and the inverse map yields samples.
    Each coupling layer transforms some features conditional on the others [1]_. ``mask_layout``
    sets which features each layer transforms: by a rule, at random, by an array, or by a search on
    the data [2]_.

    Parameters
    ----------
    n_layers : int, default=6
        Number of layers; each is a coupling followed by a constant affine map.
    mask_layout : {"parity", "random", "derived", "race", "search"}, array, callable or layout, \
default="race"
        Which features each layer transforms (True) and on which it is conditional (False): a
        boolean array of shape (n_layers, n_features), a function ``f(n_layers, n_features,
        random_state)`` that returns one, or an object of ``skflow.masks``, whose parameters can be
        searched as ``mask_layout__...``. The strings stand for ``masks.Rule("parity")``,
        ``masks.Rule("random")``, ``masks.Derived()`` (from the data, without training),
        ``masks.Race()`` (parity, unless derived masks are ahead on held-out rows after a short
        training) and ``masks.EvolutionarySearch()``.
    coupling : {"spline", "affine"}, default="spline"
        How a layer transforms its features: by a monotonic rational-quadratic spline [3]_ or by
        ``exp(s) * x + t`` [1]_.
    n_bins : int, default=8
        Number of bins of the spline.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Hidden layers of the conditioners, the networks that compute the parameters of a layer. With
        hidden layers, each layer begins with a linear step, ``(x_A - W x_B) * s + t``. With ``()``
        it does not; ``coupling="affine"`` is then the coupling of [2]_,
        ``(s, t) = tanh(W x_B + b)``.
    dequantize : bool, default=False
        Whether to spread the values of columns on a grid evenly over their cells during training.
        A grid has at most half as many values as rows, in whole steps: counts, codes, rounded
        measurements. The density is then of the spread values, in the units of the data; at a grid
        point, times the step, it approximates the probability of the value. Samples are rounded to
        the grid. With False, the density of a repeated value can grow without bound.
    bounds : None, pair, list of pairs or dict, default=None
        Ends of the columns' ranges, ``None`` for an open end: a pair such as ``(0, None)`` for all
        columns, a list with a pair (or None) for each, or a dict from column names (indices, for an
        array) to pairs. Outside, the density is 0 and ``score_samples`` minus infinity; samples
        stay inside. ``fit`` raises if rows lie outside. A bounded column is mapped to the real
        line: by the inverse of softplus for one bound, by the logit for two.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Categorical columns: "from_dtype" for the columns of a data frame with categories, text or
        booleans; names, indices or a boolean mask; None for no categorical columns.
    handle_unknown : {"rare", "error"}, default="rare"
        How to treat a category not seen in ``fit``: "rare" uses the probability that the next row
        has an unseen category (the Good-Turing estimate), "error" raises.
    spikes : bool, default=True
        Whether a value that many rows share in a real column (no income, the limit of an
        instrument) gets a separate probability. Such a value makes up at least a twentieth of the
        rows and is ten times as frequent as any other, in a column with more than 50 other values.
    component_weight : "auto" or float, default="auto"
        Weight of the components, simple densities in a mixture with the flow. Rows far from the
        data get a low but sane score from them, and they dominate where they fit better than the
        flow. The heavy-tailed components are a Student-t distribution with 3 degrees of freedom,
        with the data's mean and covariance, and two mixtures of up to eight Student-t distributions
        with 5 degrees of freedom, one of them wide. The others are a Gaussian, with a covariance
        shrunk by leave-one-out likelihood, and Gaussian mixtures of 2 and 8 clusters; up to 2000
        rows also of 32, and of 8 and 32 with more regularisation; up to 1000 rows also kernel
        densities; on more rows with few columns also a mixture of up to ``200 / n_features``.
        "auto" chooses all weights by EM on held-out rows, with at least ``min(0.03, 0.002 *
        n_features)`` for each heavy-tailed component (exactly that without ``early_stopping``). A
        number is split evenly over the heavy-tailed components; 0 is the flow alone.
    n_estimators : int, default=1
        Number of flows whose densities are averaged. They differ in their start, batches and
        validation rows and, with random or searched layouts, in their masks. Each flow has a
        separate latent space, so ``transform`` needs a single flow.
    training : Training or None, default=None
        Solver, learning rate, weight decay, batch size, validation rows, noise and other options
        that are rarely changed. None is ``Training()``.
    max_iter : "auto" or float, default="auto"
        Number of epochs (as in ``MLPRegressor``). May be a fraction: training takes
        ``round(max_iter * (n_train // batch_size))`` steps, at least one. "auto" takes about 5000
        steps, but 10 to 120 epochs; half as many if several members are averaged, and fewer
        epochs below three rows a column.
    early_stopping : bool, default=True
        Whether to hold out a fraction of the rows, keep the state with the best score on them, and
        stop when it has not improved for ``training.n_iter_no_change`` epochs. With False, flows
        train on all rows to the end, and the state with the lowest training loss is kept.
    max_time : float or None, default=None
        Approximate limit of ``fit`` in seconds. Flows train with a shorter schedule that ends in
        time, so the result depends on the machine. None means no limit.
    warm_start : bool, default=False
        Whether to continue from the last fit: its masks, parameters and standardisation. A search
        with iterations left continues, and its top structures are trained again.
    device : str, default="cpu"
        Where to compute, "cpu" or "cuda".
    verbose : int, default=0
        1 shows progress.
    random_state : int, RandomState instance or None, default=None
        Random state of masks, split, initial parameters and batches. An integer makes ``fit``
        reproducible.

    Attributes
    ----------
    masks_ : ndarray of bool, shape (n_layers, n_features)
        The masks in use; of shape (n_estimators, n_layers, n_features) for several flows.
    columns_ : dict
        The treatment of each column, by its name (or index): real, bounded, on a grid, constant,
        category; with a spike.
    location_, scale_ : ndarray of shape (n_features,)
        Location and scale of the standardisation; for bounded columns, of their mapped values; NaN
        for categorical columns.
    grid_steps_ : ndarray of shape (n_features,)
        Steps of the grids of dequantised columns, 0 for the others.
    weights_ : ndarray of shape (n_components,)
        Weights of the mixture, which sum to 1: of the flow, then of the components with a positive
        weight.
    component_names_ : ndarray of str, shape (n_components,)
        Names for ``weights_``: "flow", then the components.
    component_weight_ : float
        Total weight of the components, without the flow.
    n_iter_ : int
        Number of epochs trained (the most of any member).
    loss_curve_ : list of float
        Training loss by epoch, as a mean over members: the mean negative log-likelihood of the
        flow without components, in nats a row.
    validation_scores_ : list of float or None
        Mean log-likelihood of the validation rows after each epoch, likewise.
    n_parameters_ : int
        Number of trained parameters.
    search_history_ : list of SearchRecord
        One record for each iteration; only after a search.
    search_stop_reason_ : {"n_iter", "n_iter_no_change", "max_time", "interrupted"}
        Why the search ended; only after a search.
    initial_masks_ : ndarray of bool, shape (n_layers, n_features)
        The first structure of the search; only after a search.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during ``fit``, if X has string names.

    See Also
    --------
    StructureSearchFlow : The same flow, with the parameters of the search on the estimator.
    sklearn.mixture.GaussianMixture : A better choice for few rows in a few round clusters.

    References
    ----------
    .. [1] Dinh, L., Sohl-Dickstein, J., Bengio, S., "Density estimation using Real NVP", ICLR 2017.
    .. [2] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.
    .. [3] Durkan, C., Bekasov, A., Murray, I., Papamakarios, G., "Neural Spline Flows",
       NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity
    >>> X = load_iris().data
    >>> flow = CouplingFlowDensity(n_layers=4, max_iter=30, random_state=0).fit(X)
    >>> flow.score_samples(X).shape
    (150,)
    >>> flow.sample(3, random_state=0).shape
    (3, 4)
    """

    __module__ = "skflow"  # the name that files keep, wherever the class lives

    _parameter_constraints = {
        **BaseFlowDensity._parameter_constraints,
        "mask_layout": "no_validation",  # masks.resolve validates it
    }

    def __init__(
        self,
        n_layers: int = 6,
        *,
        mask_layout: MaskLayout = "race",
        coupling: str = "spline",
        n_bins: int = 8,
        hidden_layer_sizes: int | Sequence[int] = (64, 64),
        dequantize: bool = False,
        bounds: Any = None,
        categorical_features: Any = "from_dtype",
        handle_unknown: str = "rare",
        spikes: bool = True,
        component_weight: float | str = "auto",
        n_estimators: int = 1,
        training: Training | None = None,
        max_iter: float | str = "auto",
        early_stopping: bool = True,
        max_time: float | None = None,
        warm_start: bool = False,
        device: str = "cpu",
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_layers = n_layers
        self.mask_layout = mask_layout
        self.coupling = coupling
        self.n_bins = n_bins
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dequantize = dequantize
        self.bounds = bounds
        self.categorical_features = categorical_features
        self.handle_unknown = handle_unknown
        self.spikes = spikes
        self.component_weight = component_weight
        self.n_estimators = n_estimators
        self.training = training
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.max_time = max_time
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def _layout(self) -> Any:
        return masks.resolve(self.mask_layout)


#: Parameters of the search that the estimator has, too, besides the number of iterations.
_OF_SEARCH = (
    "n_candidate_steps move initial_layout candidate_score search_space top_k checkpoint n_jobs"
).split()


class StructureSearchFlow(BaseFlowDensity):
    """Coupling flow with masks from an evolutionary search on the training data.

    The search is Algorithm 1 of [1]_. It starts from a structure, the masks of all layers. Each
    iteration shuffles the masks of a random selection of layers (their number is geometric with
    p = 0.5), trains this offspring for a few steps, and keeps it if its cost is not higher than the
    best so far. Then flows are trained with the best structures, and the best flow is kept. The
    estimator is a ``CouplingFlowDensity`` with the layout ``masks.EvolutionarySearch``, whose main
    parameters are parameters of the estimator.

    The defaults find more at the same effort: they search among alternating masks, from the winner
    of a race of parity and derived masks, by the likelihood of validation rows. If these rows are
    too few to prove that a structure is better than the start, the start is kept, with a warning.
    ``StructureSearchFlow.paper()`` returns an estimator with the paper's search.

    Several iterations are evaluated side by side, as if none of them were accepted. After an
    acceptance the following ones are drawn again, so the result is the same as one by one.

    Parameters
    ----------
    n_layers : int, default=6
        Number of layers; each is a coupling followed by a constant affine map.
    n_search_iter : int, default=200
        Number of iterations of the search, the paper's T.
    n_candidate_steps, move, initial_layout, candidate_score, search_space, top_k, \
checkpoint, n_jobs
        As in ``masks.EvolutionarySearch``, which has further parameters.
    coupling, n_bins, hidden_layer_sizes, dequantize, bounds, \
categorical_features, handle_unknown, spikes, component_weight, n_estimators, training, max_iter, \
early_stopping, max_time, device, verbose, random_state
        As in ``CouplingFlowDensity``. Candidates are trained in the same way, with the schedule
        compressed to ``n_candidate_steps``. Half of ``max_time`` is for the search.
    warm_start : bool, default=False
        Whether to continue from the last fit. If ``n_search_iter`` exceeds the iterations in
        ``search_history_`` (it was raised, or the search was interrupted), the search continues as
        it would have without the break, and its top structures are trained from the start.
        Otherwise, or if the only top structure has the masks in use, training continues.

    Attributes
    ----------
    search_history_ : list of SearchRecord
        One record ``(iteration, masks, cost, accepted, best_cost)`` for each iteration;
        iteration 0 is the start. Costs are negative log-likelihoods in nats a row, in the
        units of the data, after the short training.
    initial_masks_ : ndarray of bool, shape (n_layers, n_features)
        The structure from which the search started.
    search_stop_reason_ : {"n_iter", "n_iter_no_change", "max_time", "interrupted"}
        Why the search ended: the limit that it reached, or Ctrl-C.
    masks_ : ndarray of bool, shape (n_layers, n_features)
        The masks in use, the best of the top structures.
    columns_, location_, scale_, grid_steps_, weights_, component_names_, component_weight_, \
n_iter_, loss_curve_, validation_scores_, n_parameters_, n_features_in_, feature_names_in_
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

    __module__ = "skflow"  # the name that files keep, wherever the class lives

    _parameter_constraints = {
        **BaseFlowDensity._parameter_constraints,
        **{name: EvolutionarySearch._parameter_constraints[name] for name in _OF_SEARCH},
        "n_search_iter": EvolutionarySearch._parameter_constraints["n_iter"],
    }

    def __init__(
        self,
        n_layers: int = 6,
        *,
        n_search_iter: int = 200,
        n_candidate_steps: int = 50,
        move: str = "shuffle",
        initial_layout: MaskLayout = "race",
        candidate_score: str = "auto",
        search_space: str = "alternating",
        top_k: int | str = "auto",
        checkpoint: str | PathLike | None = None,
        n_jobs: int | None = None,
        coupling: str = "spline",
        n_bins: int = 8,
        hidden_layer_sizes: int | Sequence[int] = (64, 64),
        dequantize: bool = False,
        bounds: Any = None,
        categorical_features: Any = "from_dtype",
        handle_unknown: str = "rare",
        spikes: bool = True,
        component_weight: float | str = "auto",
        n_estimators: int = 1,
        training: Training | None = None,
        max_iter: float | str = "auto",
        early_stopping: bool = True,
        max_time: float | None = None,
        warm_start: bool = False,
        device: str = "cpu",
        verbose: int = 0,
        random_state: RandomState = None,
    ) -> None:
        self.n_layers = n_layers
        self.n_search_iter = n_search_iter
        self.n_candidate_steps = n_candidate_steps
        self.move = move
        self.initial_layout = initial_layout
        self.candidate_score = candidate_score
        self.search_space = search_space
        self.top_k = top_k
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs
        self.coupling = coupling
        self.n_bins = n_bins
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dequantize = dequantize
        self.bounds = bounds
        self.categorical_features = categorical_features
        self.handle_unknown = handle_unknown
        self.spikes = spikes
        self.component_weight = component_weight
        self.n_estimators = n_estimators
        self.training = training
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.max_time = max_time
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @classmethod
    def paper(cls, n_layers: int = 6, **params: Any) -> Self:
        """Return an estimator whose search is exactly Algorithm 1 of the paper.

        The flow and its training keep the defaults of the package. For the paper's flow, set
        ``coupling="affine", hidden_layer_sizes=(), component_weight=0,
        training=Training(solver="sgd", learning_rate="cyclic")``.

        Parameters
        ----------
        n_layers : int, default=6
            Number of layers.
        **params
            Other parameters of the estimator.

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

    def _layout(self) -> EvolutionarySearch:
        own = {name: getattr(self, name) for name in _OF_SEARCH}
        return EvolutionarySearch(self.n_search_iter, **own)
