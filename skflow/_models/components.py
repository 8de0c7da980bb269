"""The components: simple densities that are mixed with the flow.

A flow is trained on the data. Far from the data its density is an accident of extrapolation, often
absurdly small. Mixed with a few per cent of simple distributions fitted to the data, the density of
such rows is low but sane, and it stays exact (defensive mixtures: Hesterberg 1995). On few rows a
simple distribution is often the better density, or improves the mixture, and gets a large weight
(stacked density estimation: Smyth and Wolpert 1999).

A component is a model of a mixture (``mixture.py``) that also has

``suits(n_rows, n_features)``
    Return whether the component suits a table of that (effective) size.
``fit(statistics)``
    Fit the component, once, to ``Statistics``: rows in standardised units, their weights, and
    quantities that several components need, computed on first use. Matrices are decomposed here.
    Return the component.
``conditionals(U, known, context=None)``
    Return the ``Conditionals`` of rows: the marginal density of their known columns, and the
    distribution of the other columns given the known ones.

All attributes are arrays and numbers, so ``vars(component)`` is the whole state. To add a
component, write a class and enter it in ``COMPONENTS``; enter a class with parameters once for each
setting, with ``functools.partial``. Append new ones, as mixtures share a random stream.

All present components are mixtures of ellipses, ``sum_k weights[k] f(|(u - centres[k])
factors[k]|)`` with a normal or a Student-t ``f``: marginals and conditionals have the same form.
With very many columns (see ``is_dense``) there is a single ellipse, with a factor model as shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

from .._core.saving import saved_as
from .conditionals import Conditionals
from .ellipses import (
    BLOCK,
    COMPLETE,
    Drawn,
    at_least,
    cluster_labels,
    effective_rows,
    fit_gaussian_mixture,
    likeliest_covariance,
    log_ellipses,
    precision_factors,
    variances,
)
from .factor_model import fit_factor_model, is_dense, low_rank_factor, square_factor, unwhiten

if TYPE_CHECKING:
    from typing_extensions import Self

    from .mixture import Context

#: Tables of up to so many rows get all components, and cross-fitted weights.
FEW_ROWS = 2000

_MAX_KERNELS = 1000  # rows of a kernel density; more would cost more than the flows
_FEWEST_ROWS, _MOST_ROWS = 2000, 10_000  # for the mixtures, by the cost of a step of EM
_PRODUCTS_A_STEP = 10**7
_MAX_PRODUCTS = 250_000  # of a mixture for each row; more would cost more than the flows
_ROWS_PER_CLUSTER = 4  # at least, in mixtures for small tables
#: Regularisation of clusters: the ridge, and the pooling in rows for each column.
_LITTLE, _MORE = (1e-3, 0.1), (1e-2, 1.0)


class EllipticalMixture:
    """Mixture of ellipses: normal distributions or, with finite ``dof``, Student-t distributions.

    ``fit`` sets ``weights`` ``(k,)``, ``centres`` ``(k, d)`` and ``factors`` ``(k, d, d)``, upper
    triangular ``P`` with ``P P' = inverse(shape)``, or ``low_rank_factor`` for very many columns.
    """

    dof: float = math.inf
    weights: np.ndarray
    centres: np.ndarray
    factors: np.ndarray

    @property
    def heavy_tailed(self) -> bool:
        return self.dof < math.inf

    def log_prob(self, U: np.ndarray, context: Context | None = None) -> np.ndarray:
        U, log_prob = np.asarray(U, self.centres.dtype), np.empty(len(U))
        size = max(64, BLOCK // self.centres.size)  # rows that fit into the processor's caches
        for start in range(0, len(U), size):
            block = slice(start, start + size)
            joint = self._joint(U[block])
            peak = joint.max(axis=0)  # finite, as rows are
            joint -= peak
            log_prob[block] = np.log(np.exp(joint, out=joint).sum(axis=0)) + peak
        return log_prob

    def _joint(self, U: np.ndarray) -> np.ndarray:
        """Return the log of weight times density ``(k, n)`` of each ellipse."""
        return np.log(self.weights)[:, None] + log_ellipses(U, self.centres, self.factors, self.dof)

    def sample(
        self, n_samples: int, rng: np.random.RandomState, context: Context | None = None
    ) -> np.ndarray:
        counts = rng.multinomial(n_samples, self.weights / self.weights.sum())
        parts = []
        for k in np.flatnonzero(counts):
            normal = rng.standard_normal((counts[k], self.centres.shape[1]))
            if self.heavy_tailed:
                normal *= np.sqrt(self.dof / rng.chisquare(self.dof, (counts[k], 1)))
            parts.append(self.centres[k] + unwhiten(normal, self.factors[k]))
        return np.concatenate(parts)

    def conditionals(
        self, U: np.ndarray, known: np.ndarray, context: Context | None = None
    ) -> Conditionals:
        factors = np.stack([square_factor(factor) for factor in self.factors])
        return Conditionals(self.weights, self.centres, factors, self.dof, U, known)


@saved_as("clusters")
class Clusters(EllipticalMixture):
    """Gaussian mixture, or mixture of Student-t distributions with a finite ``dof``.

    Clusters have gaps between them, over which a flow leaves bridges. Larger ``ridge`` and
    ``pooling`` make them smoother (``fit_gaussian_mixture``). ``widening`` is added to the
    variances: nearly collinear columns make all other components narrow in some direction, and
    data may drift there. A single cluster is shrunk to the best leave-one-out likelihood.
    """

    def __init__(
        self,
        n_clusters: int,
        dof: float = math.inf,
        widening: float = 0.0,
        regularisation: tuple[float, float] = _LITTLE,
    ) -> None:
        self.n_clusters, self.dof, self.widening = n_clusters, dof, widening
        self.ridge, self.pooling = regularisation

    def suits(self, n_rows: float, n_features: int) -> bool:
        if self.n_clusters == 1 or self.heavy_tailed:
            return True
        if not is_dense(n_rows, n_features) or self.n_clusters * n_features**2 > _MAX_PRODUCTS:
            return False
        for_few = self.n_clusters > 8 or self.ridge > _LITTLE[0]
        return n_rows >= _ROWS_PER_CLUSTER * self.n_clusters and not (for_few and n_rows > FEW_ROWS)

    def fit(self, statistics: Statistics) -> Self:
        n_clusters, n_features = self.n_clusters, statistics.U.shape[1]
        if self.heavy_tailed:  # suits any table, so it gets fewer clusters on few rows
            most = statistics.n_effective // (5 * n_features), _MAX_PRODUCTS // n_features**2
            n_clusters = int(min(n_clusters, *most))
        found = statistics.ellipses(n_clusters, (self.ridge, self.pooling), self.widening)
        self.weights, self.centres, self.factors = found
        return self


@saved_as("fine mixture")
class FineMixture(EllipticalMixture):
    """Gaussian mixture for long tables with few columns: up to 200 / d clusters.

    With fewer columns, more clusters are useful and each is cheaper.
    """

    def suits(self, n_rows: float, n_features: int) -> bool:
        return n_rows > FEW_ROWS and 200 // n_features > 8

    def fit(self, statistics: Statistics) -> Self:
        n_features = statistics.U.shape[1]
        n_rows = min(statistics.n_effective, _MOST_ROWS)
        n_clusters = int(min(200 // n_features, n_rows // (20 * n_features)))
        self.weights, self.centres, self.factors = statistics.ellipses(n_clusters)
        return self


@saved_as("kernel density")
class KernelDensity(EllipticalMixture):
    """A round normal distribution around every row.

    For tables whose rows nearly repeat. All ellipses have the same size, ``bandwidth`` standard
    deviations of each column; ``inverse_sizes`` is the diagonal of each factor.
    """

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth

    def suits(self, n_rows: float, n_features: int) -> bool:
        return n_rows <= _MAX_KERNELS

    def fit(self, statistics: Statistics) -> Self:
        self.weights, self.centres = statistics.weight, statistics.U
        variance = (self.bandwidth * statistics.spread) ** 2 + statistics.noise**2
        self.inverse_sizes = 1 / np.sqrt(variance)
        return self

    @property
    def factors(self) -> np.ndarray:  # type: ignore[override]
        """The factors of the ellipses, a view of one."""
        shape = (len(self.centres), *2 * self.inverse_sizes.shape)
        return np.broadcast_to(np.diag(self.inverse_sizes), shape)

    def conditionals(
        self, U: np.ndarray, known: np.ndarray, context: Context | None = None
    ) -> Conditionals:
        factors = np.diag(self.inverse_sizes)[None]  # one for all ellipses
        return Conditionals(self.weights, self.centres, factors, self.dof, U, known)

    def _joint(self, U: np.ndarray) -> np.ndarray:
        # squared distances by one product, in place; the exponentials take the time
        size = self.inverse_sizes
        rows, points = self.centres * size, U * size
        joint = rows @ points.T
        joint -= 0.5 * (points**2).sum(axis=1)
        constant = np.log(size).sum() - 0.5 * len(size) * math.log(2 * math.pi)
        joint += (constant + np.log(self.weights) - 0.5 * (rows**2).sum(axis=1))[:, None]
        return joint


#: The constructor of each component, by the name that is shown with its weight.
COMPONENTS: dict[str, Callable[[], Clusters | FineMixture | KernelDensity]] = {
    "gaussian": partial(Clusters, 1),
    "t_mixture": partial(Clusters, 8, dof=5.0),
    "t_wide": partial(Clusters, 8, dof=5.0, widening=0.1),
    "t": partial(Clusters, 1, dof=3.0),
    "mixture_2": partial(Clusters, 2),
    "mixture_8": partial(Clusters, 8),
    "mixture_32": partial(Clusters, 32),
    "smooth_mixture_8": partial(Clusters, 8, regularisation=_MORE),
    "smooth_mixture_32": partial(Clusters, 32, regularisation=_MORE),
    "fine_mixture": FineMixture,
    "kernel_0.2": partial(KernelDensity, 0.2),
    "kernel_0.4": partial(KernelDensity, 0.4),
}

#: Components that always keep some weight.
HEAVY_TAILED = ("t_mixture", "t_wide", "t")


def suiting(n_features: int, *numbers_of_rows: float) -> list[str]:
    """Return the names of components that suit so many columns and (effective) rows."""
    return [
        name
        for name, make in COMPONENTS.items()
        if all(make().suits(n_rows, n_features) for n_rows in numbers_of_rows)
    ]


def fit_components(
    U: np.ndarray,
    weight: np.ndarray | None = None,
    rng: np.random.RandomState | None = None,
    noise: float = 0.0,
    names: Iterable[str] | None = None,
    **options: Any,
) -> dict[str, EllipticalMixture]:
    """Return components fitted to rows ``(n, d)``, as a dict by name.

    The densities include noise of standard deviation ``noise``. Without ``names``, all suitable
    components are fitted. ``options`` are those of ``Statistics``.
    """
    statistics = Statistics(U, weight, rng, noise, **options)
    if names is None:
        names = suiting(U.shape[1], statistics.n_effective)
    return {name: COMPONENTS[name]().fit(statistics) for name in names}


class Statistics:
    """Rows ``(n, d)`` for components, and quantities that several need, computed once.

    ``weight`` adds up to 1. ``least`` ``(d,)`` are the least variances, and ``drawn`` is the
    ``Drawn`` of rows with drawn cells.
    """

    def __init__(
        self,
        U: np.ndarray,
        weight: np.ndarray | None = None,
        rng: np.random.RandomState | None = None,
        noise: float = 0.0,
        least: np.ndarray | float = 0.0,
        drawn: Drawn = COMPLETE,
    ) -> None:
        weight = np.ones(len(U)) if weight is None else weight
        self.U, self.rng = U, check_random_state(rng)
        self.noise, self.least, self.drawn = noise, least, drawn
        self.weight = weight / weight.sum()
        self.n_effective = effective_rows(weight) / drawn.n_copies
        self._starts: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._clusters: dict[tuple, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    @cached_property
    def spread(self) -> np.ndarray:
        """Standard deviations of the columns ``(d,)``, 1 for constant ones."""
        variance = np.maximum(variances(self.U, self.weight), self.least)
        return np.sqrt(np.where(variance > 0, variance, 1.0))

    def ellipses(
        self, n_clusters: int, regularisation: tuple[float, float] = _LITTLE, widening: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return weights, centres and factors of ellipses; ``widening`` adds to variances."""
        more = widening + self.noise**2
        if not is_dense(self.n_effective, self.U.shape[1]):
            centre, loadings, variances = self.factor_model
            return np.ones(1), centre[None], low_rank_factor(loadings, variances + more)[None]
        weights, centres, shapes = self.clusters(n_clusters, regularisation)
        return weights, centres, precision_factors(shapes + more * np.eye(self.U.shape[1]))

    @cached_property
    def factor_model(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre, loadings and own variances of the single ellipse of very many columns."""
        return fit_factor_model(self.U, self.weight, self.n_effective, self.rng)

    @cached_property
    def gaussian(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Mean, shrunk covariance and its shrinkage."""
        centre, shape, shrinkage = likeliest_covariance(self.U, self.weight, self.drawn)
        return centre, at_least(self.least, shape), shrinkage

    def clusters(
        self, n_clusters: int, regularisation: tuple[float, float] = _LITTLE
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return weights, centres and shapes of a Gaussian mixture or of a single Gaussian."""
        centre, shape, shrinkage = self.gaussian
        if n_clusters < 2:
            return np.ones(1), centre[None], shape[None]
        key = n_clusters, regularisation
        if key not in self._clusters:
            ridge, pooling = regularisation
            pooling = pooling * (1 + self.U.shape[1]) * self.drawn.n_copies
            start = self._start(n_clusters)
            self._clusters[key] = fit_gaussian_mixture(
                *start, ridge, pooling, shrinkage, least=self.least
            )
        return self._clusters[key]

    def _start(self, n_clusters: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the labels, rows and weights for the start of EM."""
        if n_clusters not in self._starts:
            n_rows = _PRODUCTS_A_STEP // (n_clusters * self.U.shape[1] ** 2)
            n_rows = min(max(n_rows, _FEWEST_ROWS), _MOST_ROWS)
            rows, weight = self.U, self.weight
            if len(rows) > n_rows:
                drawn = self.rng.choice(len(rows), n_rows, replace=False)
                rows, weight = rows[drawn], weight[drawn] / weight[drawn].sum()
            labels = cluster_labels(n_clusters, rows, weight, self.rng)
            self._starts[n_clusters] = labels, rows, weight
        return self._starts[n_clusters]
