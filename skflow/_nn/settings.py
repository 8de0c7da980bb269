"""Training: the options of training, in an object that all estimators take."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from .conditioners import ACTIVATIONS
from .optimizers import SCHEDULES, SOLVERS

if TYPE_CHECKING:
    from typing_extensions import Self

_AUTO = StrOptions({"auto"})


class Training(BaseEstimator):
    """Options of the training of flows, and others that are rarely changed.

    `CouplingFlowDensity`, `StructureSearchFlow` and `FlowRegressor` take it as ``training``. None
    means the defaults. In a grid, name its parameters ``training__alpha`` and so on.

    Parameters
    ----------
    solver : {"adam", "sgd"}, default="adam"
        "adam": Adam with decoupled weight decay, on the rows epoch by epoch. "sgd": plain
        stochastic gradient descent, which draws each batch at random, as in [1]_.
    learning_rate : {"one_cycle", "cyclic", "constant"}, default="one_cycle"
        Schedule. "one_cycle": a short rise and a long decay to zero. "cyclic": the triangular
        cycles of [2]_, as in [1]_. "constant": none.
    learning_rate_init : "auto" or float, default="auto"
        The highest learning rate of the schedule. "auto" is 0.01, and 0.06 for Adam with a
        single-layer affine conditioner.
    alpha : "auto" or float, default="auto"
        Decoupled weight decay of the conditioners' weights: a step shrinks them by ``alpha``
        times the learning rate. "auto" is ``0.02 * n_features * (15000 / n_train) ** 0.75``, at
        most 6, with Adam, and 0 with SGD or for a single-layer affine conditioner. In
        `FlowRegressor` it is ``0.003 * (n_features + n_targets) * (15000 / n_train) ** 0.75``, at
        most 3.
    batch_size : "auto" or int, default="auto"
        Number of rows of a batch, at most that of the training rows. "auto" is a power of two near
        ``n_train / 64``, from 64 to 1024; 32 for fewer than 256 rows. It is half of that if
        several members are averaged and ``max_iter`` is "auto", too.
    validation_fraction : "auto" or float, default="auto"
        Fraction of the rows held out with ``early_stopping``. "auto" is 0.1. On a table of at most
        2000 rows with ``component_weight="auto"``, these would be too few to choose the weights of
        the components. There "auto" is 0.2, and each flow is the average of several members that
        hold out different rows, at least five in all, so that every row helps to choose the weights
        (stacked density estimation [4]_). With a number, there is one member.
    n_iter_no_change : "auto", int or None, default="auto"
        Patience of ``early_stopping`` in epochs. "auto" is 0.6 times ``max_iter``; None always
        trains to the end.
    tol : float, default=0.0
        Least improvement that counts for ``n_iter_no_change``, in nats a row.
    n_init : int, default=1
        Number of trainings from different starts, side by side, of which the best is kept.
    noise : "auto" or float, default="auto"
        Standard deviation of normal noise added to the training rows, anew at every step, as a
        fraction of each column's own (in the data's units with ``standardize=False``) [3]_. The
        density is then that of the data seen at this resolution: smooth, bounded at values that
        repeat, and broader than the data by the noise. In `FlowRegressor` it is the noise of the
        targets, and "auto" tries several sizes; elsewhere "auto" is 0.
    context_noise : "auto" or float, default="auto"
        As ``noise``, for the features of `FlowRegressor`; ignored by other estimators.
    activation : {"relu", "tanh"}, default="relu"
        Activation of the conditioners' hidden layers.
    standardize : bool, default=True
        Whether to standardise the columns in a first, fixed layer of the flow. Densities are in the
        units of the data either way, so a scaler is not needed. `FlowRegressor` always
        standardises.

    References
    ----------
    .. [1] Gonsior, F., Mücke, S., Morik, K., "Structure Search for Normalizing Flows", LWDA 2021.
    .. [2] Smith, L. N., "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
    .. [3] Rothfuss, J., Ferreira, F., Boehm, S., Walther, S., Ulrich, M., Asfour, T., Krause, A.,
       "Noise Regularization for Conditional Density Estimation", arXiv:1907.08982, 2019.
    .. [4] Smyth, P., Wolpert, D., "Linearly Combining Density Estimators via Stacking",
       Machine Learning 36, 1999.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skflow import CouplingFlowDensity, Training
    >>> sgd = Training(solver="sgd", learning_rate="cyclic", batch_size=16)
    >>> flow = CouplingFlowDensity(n_layers=2, max_iter=20, training=sgd, random_state=0)
    >>> flow.fit(load_iris().data).set_params(training__alpha=0.1).training.alpha
    0.1
    """

    __module__ = "skflow"  # the name that files keep, wherever the class lives

    _parameter_constraints = {
        "solver": [StrOptions(SOLVERS.keys())],
        "learning_rate": [StrOptions(SCHEDULES.keys())],
        "learning_rate_init": [_AUTO, Interval(Real, 0, None, closed="neither")],
        "alpha": [_AUTO, Interval(Real, 0, None, closed="left")],
        "batch_size": [_AUTO, Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [_AUTO, Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [_AUTO, Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "noise": [_AUTO, Interval(Real, 0, None, closed="left")],
        "context_noise": [_AUTO, Interval(Real, 0, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS.keys())],
        "standardize": ["boolean"],
    }

    def __init__(
        self,
        *,
        solver: str = "adam",
        learning_rate: str = "one_cycle",
        learning_rate_init: float | str = "auto",
        alpha: float | str = "auto",
        batch_size: int | str = "auto",
        validation_fraction: float | str = "auto",
        n_iter_no_change: int | str | None = "auto",
        tol: float = 0.0,
        n_init: int = 1,
        noise: float | str = "auto",
        context_noise: float | str = "auto",
        activation: str = "relu",
        standardize: bool = True,
    ) -> None:
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.n_init = n_init
        self.noise = noise
        self.context_noise = context_noise
        self.activation = activation
        self.standardize = standardize


def training_of(params: Any) -> Training:
    """Return the ``Training`` of an estimator, or of an object with its parameters."""
    return Training() if params.training is None else params.training


class TakesNested:
    """Base of estimators with parameters for which None stands for an object with its defaults.

    ``_when_none`` has the makers of these objects by the name of the parameter.
    """

    _when_none: dict[str, Callable[[], Any]]

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also nested ones of an object for which None stands.

        Parameters
        ----------
        **params : dict
            Such as ``training__alpha``, also if ``training`` is None.

        Returns
        -------
        self : object
        """
        for own, make in self._when_none.items():
            nested = any(name.startswith(f"{own}__") for name in params)
            if nested and getattr(self, own) is None:
                params.setdefault(own, make())
        return super().set_params(**params)  # type: ignore[misc]


class TakesTraining(TakesNested):
    """Base of the estimators with a parameter ``training``."""

    training: Training | None
    _when_none = {"training": Training}

    def _validate_params(self) -> None:
        super()._validate_params()  # type: ignore[misc]
        names = Training._parameter_constraints
        own = training_of(self).get_params(deep=False)
        validate_parameter_constraints(
            {f"training.{name}": constraint for name, constraint in names.items()},
            {f"training.{name}": own[name] for name in names},
            caller_name=type(self).__name__,
        )
