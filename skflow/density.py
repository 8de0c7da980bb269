"""The density estimators: a coupling flow whose masks are a hyperparameter, or are searched."""

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

    A flow maps the data to a standard normal by a chain of invertible layers; the change of
    variables gives the exact density of every row, and the inverse gives samples. A coupling layer
    transforms some of the features conditioned on the others [1]_; which ones, layer by layer, is
    set by ``mask_layout``: a rule, chance, an array, or a search on the data [2]_.

    Parameters
    ----------
    n_layers : int, default=6
        Number of layers; each is a coupling followed by a constant affine map.
    mask_layout : {"parity", "random", "derived", "race", "search"}, array, callable or layout, \
default="race"
        Which features each layer transforms (True) and which condition (False). A boolean array
        of shape (n_layers, n_features), a function ``f(n_layers, n_features, random_state)``
        that returns one, or an object of ``skflow.masks``, whose parameters can be searched as
        ``mask_layout__...``. The strings stand for ``masks.Rule("parity")``,
        ``masks.Rule("random")``, ``masks.Derived()`` (from the data, without training),
        ``masks.Race()`` (parity, unless derived masks are ahead on held-out rows after a short
        training) and ``masks.EvolutionarySearch()``.
    coupling : {"spline", "affine"}, default="spline"
        How a layer transforms its features: by a monotonic rational-quadratic spline [3]_ or by
        ``exp(s) * x + t`` [1]_.
    n_bins : int, default=8
        Bins of the spline.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Hidden layers of the conditioners. With them a layer begins with a linear step, ``(x_A - W
        x_B) * s + t``. With ``()`` it does not, and with ``coupling="affine"`` a coupling is then
        that of [2]_, ``(s, t) = tanh(W x_B + b)``.
    dequantize : bool, default=False
        Spread the values of columns on a grid (counts, codes, rounded measurements: at most half as
        many values as rows, in whole steps) evenly over their cells during training. The density
        is then that of the spread values, in the units of the data; at a grid point, times the
        step, it approximates the probability of the value. Samples are rounded to the grid.
        Without it the density of a repeated value can grow without bound.
    bounds : None, pair, list of pairs or dict, default=None
        Ends of the columns' ranges, ``None`` for an open end: a pair such as ``(0, None)`` for all
        columns, a list with a pair (or None) for each, or a dict from column names (or numbers, if
        they have none) to pairs. Outside, the density is 0 and ``score_samples`` minus infinity;
        samples stay inside. ``fit`` raises if rows lie beyond. A bounded column is mapped to the
        real line: by the inverse of softplus for one bound, by the logit for two.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Columns with categories: "from_dtype" for those of a data frame with a categorical dtype,
        text or truth values; their names, their numbers or a boolean mask; None for none.
    handle_unknown : {"rare", "error"}, default="rare"
        Treatment of a category that ``fit`` has not seen: "rare" gives it the probability that the
        next row is the first of its kind (the Good-Turing estimate), "error" raises.
    spikes : bool, default=True
        Whether a value that many rows share in a real column (no income, the limit of an
        instrument) gets a probability of its own. Such a value makes up at least a twentieth of the
        rows and is ten times as frequent as any other, in a column with more than 50 other values.
    component_weight : "auto" or float, default="auto"
        Weight of the components, simple densities in a mixture with the flow. They give rows far
        from the data a low but sane score, and take over where they fit better than the flow. The
        heavy-tailed ones are a Student-t with 3 degrees of freedom, with the data's mean and
        covariance, and two mixtures of up to eight Student-t distributions with 5 degrees of
        freedom, one of them wide. The others are a Gaussian, whose covariance left-out rows shrink,
        and Gaussian mixtures of 2 and 8 clusters; on tables of at most 2000 rows also of 32, and of
        8 and 32 with more regularisation, and up to 1000 rows kernel densities; on longer ones with
        few columns a mixture of up to ``200 / n_features``. "auto" chooses all weights by EM on
        held-out rows, with at least ``min(0.03, 0.002 * n_features)`` for each heavy-tailed one
        (exactly that without ``early_stopping``). A number is split evenly over the heavy-tailed
        ones; 0 is the flow alone.
    n_estimators : int, default=1
        Number of flows whose densities are averaged. They differ in their start, batches and
        validation rows and, with random or searched layouts, in their masks. Each has a latent
        space of its own, so ``transform`` needs a single one.
    training : Training or None, default=None
        Solver, learning rate, weight decay, batch size, validation rows, noise and other options
        that are rarely changed. None is ``Training()``.
    max_iter : "auto" or float, default="auto"
        Number of epochs (as in ``MLPRegressor``). May be a fraction: training takes
        ``round(max_iter * (n_train // batch_size))`` steps, at least one. "auto" makes about 5000
        steps, but 10 to 120 epochs; half of these where several members are averaged, and fewer
        epochs below three rows a column.
    early_stopping : bool, default=True
        Hold out a fraction of the rows, keep the state that scores best on them, and stop when it
        has not improved for ``training.n_iter_no_change`` epochs. With False all rows train the
        flow to the end, and the state with the lowest training loss is kept.
    max_time : float or None, default=None
        Seconds that ``fit`` may take, about: flows train with a shorter schedule, which ends in
        time, so that the result depends on the machine. None is no limit.
    warm_start : bool, default=False
        Continue from the last fit: its masks, parameters and standardisation. A search with
        iterations left continues, and its top structures are trained again.
    device : str, default="cpu"
        Where to compute, "cpu" or "cuda".
    verbose : int, default=0
        1 shows progress.
    random_state : int, RandomState instance or None, default=None
        Random masks, split, initial parameters and batches. An integer makes ``fit``
        reproducible.

    Attributes
    ----------
    masks_ : ndarray of bool, shape (n_layers, n_features)
        The masks in use; (n_estimators, n_layers, n_features) for more than one member.
    columns_ : dict
        The treatment of each column, by its name (or number): real, bounded, on a grid, constant,
        category; with a spike.
    location_, scale_ : ndarray of shape (n_features,)
        Of the standardisation; for bounded columns, of their mapped values; NaN for categories.
    grid_steps_ : ndarray of shape (n_features,)
        Steps of the grids of dequantised columns, 0 for the others.
    weights_ : ndarray of shape (n_components,)
        Weights of the mixture: the flow's, then those of the components that have any. They sum to
        1.
    component_names_ : ndarray of str, shape (n_components,)
        Names for ``weights_``: "flow", then the components.
    component_weight_ : float
        Total weight of the components beside the flow.
    n_iter_ : int
        Number of epochs trained (the most of any member).
    loss_curve_ : list of float
        Mean training loss of each epoch, negative log-likelihood in nats a row of the flow
        without the components; the mean over members.
    validation_scores_ : list of float or None
        Mean log-likelihood of the validation rows after each epoch, likewise.
    n_parameters_ : int
        Number of trained parameters.
    search_history_ : list of SearchRecord
        Only after a search: one record for each iteration.
    search_stop_reason_ : {"n_iter", "n_iter_no_change", "max_time", "interrupted"}
        Only after a search: why it ended.
    initial_masks_ : ndarray of bool, shape (n_layers, n_features)
        Only after a search: its first structure.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X had string names.

    See Also
    --------
    StructureSearchFlow : The same with the parameters of the structure search on the estimator.
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

    def _layout(self):
        return masks.resolve(self.mask_layout)


#: Parameters of the search that are also those of the estimator, beside its number of iterations.
_OF_SEARCH = (
    "n_candidate_steps move initial_layout candidate_score search_space top_k checkpoint n_jobs"
).split()


class StructureSearchFlow(BaseFlowDensity):
    """Coupling flow whose masks are found by an evolutionary search on the training data.

    As in Algorithm 1 of [1]_: start from a structure; in each iteration shuffle the masks of a
    random selection of layers (their number is geometric with p = 0.5), train the offspring for a
    few steps, and keep it if its cost is not higher than the best so far. Then flows are trained
    with the best structures, and the best of these is kept. It is a ``CouplingFlowDensity`` whose
    layout is ``masks.EvolutionarySearch``, with the main parameters of that on the estimator.

    The defaults search where more is found at the same effort: among alternating masks, from the
    winner of a race of parity and derived masks, by the likelihood of validation rows. Where these
    are too few to prove that a structure is better than the start, the start is kept, with a
    warning. ``StructureSearchFlow.paper()`` has the paper's search.

    Several iterations are evaluated side by side, on the assumption that none of them is accepted,
    and what follows an acceptance is drawn again; the result is that of one at a time.

    Parameters
    ----------
    n_layers : int, default=6
        Number of layers; each is a coupling followed by a constant affine map.
    n_search_iter : int, default=200
        Number of iterations of the search, the paper's T.
    n_candidate_steps, move, initial_layout, candidate_score, search_space, top_k, \
checkpoint, n_jobs
        As in ``masks.EvolutionarySearch``, which has more of them.
    coupling, n_bins, hidden_layer_sizes, dequantize, bounds, \
categorical_features, handle_unknown, spikes, component_weight, n_estimators, training, max_iter, \
early_stopping, max_time, device, verbose, random_state
        As in ``CouplingFlowDensity``. Candidates are trained in the same way, with the schedule
        compressed to ``n_candidate_steps``. Half of ``max_time`` is for the search.
    warm_start : bool, default=False
        Continue from the last fit. If ``n_search_iter`` exceeds the iterations in
        ``search_history_`` (it was raised, or the search was interrupted), the search goes on as
        it would have without the break, and its top structures are trained anew; otherwise, and
        with a single one whose masks are those in use, the training goes on.

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
        The best of the top structures, in use.
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
        """Return an estimator whose search is Algorithm 1 of the paper to the letter.

        The flow and its training keep the defaults of the package; ``coupling="affine",
        hidden_layer_sizes=(), component_weight=0, training=Training(solver="sgd",
        learning_rate="cyclic")`` is the paper's flow.

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
        own = {name: getattr(self, name) for name in _OF_SEARCH}
        return EvolutionarySearch(self.n_search_iter, **own)
