"""The components: simple densities that stand beside the flow.

A flow is trained where the data are; far from them its density is an accident of extrapolation,
often absurdly small. Mixed with a few per cent of simple distributions fitted to the data, the
density of such rows is low but sane, and it stays exact (defensive mixtures: Hesterberg 1995).
Where rows are few a simple distribution is often the better density, or the better in part, and
gets a large weight (stacked density estimation: Smyth and Wolpert 1999).

A component is a model of a mixture (``mixture.py``) that also has

``suits(n_rows, n_features)``
    Whether a table of that (effective) size is one for it.
``fit(statistics)``
    Fits it, once, to ``Statistics``: rows in standardised units, their weights, and what several
    components need of them, computed when first asked for. Whatever has to be decomposed is
    decomposed here. Returns the component.
``conditionals(U, known, context=None)``
    Its ``Conditionals``: of rows the marginal density of their known columns, and the others given
    them.

What is set is arrays and numbers, so ``vars(component)`` is its whole state. To add one, write a
class and enter it in ``COMPONENTS``; one with parameters is entered as often as there are values
of them, by ``functools.partial``. New ones go to the end, as mixtures share a random stream.

All of today's are mixtures of ellipses, ``sum_k weights[k] f(|(u - centres[k]) factors[k]|)`` with
a normal or a Student-t ``f``: marginals and conditionals of any columns are of the same form. Of
very many columns (see ``is_dense``) there is a single ellipse, with a factor model for its shape.
"""

import math
from functools import cached_property, partial

import numpy as np

from .._core.rows import effective_rows
from .._core.saving import saved_as
from .conditionals import Conditionals
from .ellipses import (
    cluster_labels,
    fit_gaussian_mixture,
    likeliest_covariance,
    log_ellipses,
    precision_factors,
)
from .factor_model import fit_factor_model, is_dense, low_rank_factor, square_factor, unwhiten

#: Up to so many rows a table is small: it gets all components, and cross-fitted weights.
FEW_ROWS = 2000

_MAX_KERNELS = 1000  # rows of a kernel density: beyond, it would cost more than the flows
_FEWEST_ROWS, _MOST_ROWS = 2000, 10_000  # for the mixtures, by what a step of EM costs
_PRODUCTS_A_STEP = 10**7
_MAX_PRODUCTS = 250_000  # of a mixture for each row: beyond, it would cost more than the flows
_ROWS_PER_CLUSTER = 4  # at least, of the mixtures for small tables
_WIDENING = 0.1  # added to the variances, which are about 1 in standardised units
#: How clusters are regularised: the ridge, and rows for each column that draw to a common shape.
_LITTLE, _MORE = (1e-3, 0.1), (1e-2, 1.0)


class EllipticalMixture:
    """Mixture of ellipses: normal distributions or, with finite ``dof``, Student-t distributions.

    A subclass says in ``_ellipses`` which of the statistics it takes.

    Attributes
    ----------
    weights : ndarray of shape (k,)
    centres : ndarray of shape (k, d)
    factors : ndarray of shape (k, d, d) or, of very many columns, (k, d, 1 + r)
        Upper triangular ``P`` with ``P P' = inverse(shape)``, or as of ``low_rank_factor``.
    """

    dof = math.inf
    heavy_tailed = False

    def suits(self, n_rows, n_features):
        return True

    def _ellipses(self, statistics):
        raise NotImplementedError

    def fit(self, statistics):
        self.weights, self.centres, self.factors = self._ellipses(statistics)
        return self

    def log_prob(self, U, context=None):
        joint = self._joint(U)
        peak = joint.max(axis=0)  # finite, as rows are
        joint -= peak
        return np.log(np.exp(joint, out=joint).sum(axis=0)) + peak

    def _joint(self, U):
        """Log of weight times density ``(k, n)`` of each ellipse."""
        return np.log(self.weights)[:, None] + log_ellipses(U, self.centres, self.factors, self.dof)

    def sample(self, n_samples, rng, context=None):
        counts = rng.multinomial(n_samples, self.weights / self.weights.sum())
        parts = []
        for k in np.flatnonzero(counts):
            normal = rng.standard_normal((counts[k], self.centres.shape[1]))
            if self.dof < math.inf:
                normal *= np.sqrt(self.dof / rng.chisquare(self.dof, (counts[k], 1)))
            parts.append(self.centres[k] + unwhiten(normal, self.factors[k]))
        return np.concatenate(parts)

    def conditionals(self, U, known, context=None):
        factors = np.stack([square_factor(factor) for factor in self.factors])
        return Conditionals(self.weights, self.centres, factors, self.dof, U, known)


@saved_as("gaussian")
class Gaussian(EllipticalMixture):
    """The normal distribution, shrunk by as much as rows that are left out ask for."""

    def _ellipses(self, statistics):
        return statistics.ellipses(1)


@saved_as("t")
class StudentT(Gaussian):
    """The Student-t with 3 degrees of freedom, with the same mean and shape."""

    dof = 3.0
    heavy_tailed = True


@saved_as("t mixture")
class TMixture(EllipticalMixture):
    """Up to eight Student-t distributions that follow the shape of the data.

    They are the clusters of a Gaussian mixture with 5 degrees of freedom instead; a table with
    fewer than 5 d rows a cluster gets fewer of them.
    """

    dof = 5.0
    heavy_tailed = True
    widening = 0.0

    def _ellipses(self, statistics):
        n_features = statistics.U.shape[1]
        most = statistics.n_effective // (5 * n_features), _MAX_PRODUCTS // n_features**2
        return statistics.ellipses(int(min(8, *most)), widening=self.widening)


@saved_as("wide t mixture")
class WideTMixture(TMixture):
    """The same, at least 0.3 standard deviations wide in every direction.

    Nearly collinear columns make all others narrow in some direction, and a drift may lead there.
    """

    widening = _WIDENING


@saved_as("gaussian mixture")
class GaussianMixture(EllipticalMixture):
    """For clusters with gaps between them, over which a flow leaves bridges.

    The larger the ridge and the pooling, the smoother (``fit_gaussian_mixture``). More than the
    least is for small tables, and so are many clusters.
    """

    def __init__(self, n_clusters, ridge=_LITTLE[0], pooling=_LITTLE[1]):
        self.n_clusters, self.ridge, self.pooling = n_clusters, ridge, pooling

    def suits(self, n_rows, n_features):
        if not is_dense(n_rows, n_features) or self.n_clusters * n_features**2 > _MAX_PRODUCTS:
            return False
        for_few = self.n_clusters > 8 or self.ridge > _LITTLE[0]
        return n_rows >= _ROWS_PER_CLUSTER * self.n_clusters and not (for_few and n_rows > FEW_ROWS)

    def _ellipses(self, statistics):
        return statistics.ellipses(self.n_clusters, (self.ridge, self.pooling))


@saved_as("fine mixture")
class FineMixture(EllipticalMixture):
    """The Gaussian mixture of a long table with few columns: up to 200 / d clusters.

    The fewer the columns, the more an ellipse has to be cut up, and the less it costs.
    """

    def suits(self, n_rows, n_features):
        return n_rows > FEW_ROWS and 200 // n_features > 8

    def _ellipses(self, statistics):
        n_features = statistics.U.shape[1]
        n_rows = min(statistics.n_effective, _MOST_ROWS)
        n_clusters = min(200 // n_features, n_rows // (20 * n_features))
        return statistics.ellipses(int(n_clusters))


@saved_as("kernel density")
class KernelDensity(EllipticalMixture):
    """A round normal distribution around every row.

    For tables whose rows nearly repeat. Its ellipses are all of one size, ``bandwidth`` standard
    deviations of each column.

    Attributes
    ----------
    inverse_sizes : ndarray of shape (d,)
        The diagonal of each factor.
    """

    def __init__(self, bandwidth):
        self.bandwidth = bandwidth

    def suits(self, n_rows, n_features):
        return n_rows <= _MAX_KERNELS

    def fit(self, statistics):
        self.weights, self.centres = statistics.weight, statistics.U
        variance = (self.bandwidth * statistics.spread) ** 2 + statistics.noise**2
        self.inverse_sizes = 1 / np.sqrt(variance)
        return self

    @property
    def factors(self):
        """As of any mixture, a view of a single one."""
        shape = (len(self.centres), *2 * self.inverse_sizes.shape)
        return np.broadcast_to(np.diag(self.inverse_sizes), shape)

    def conditionals(self, U, known, context=None):
        factors = np.diag(self.inverse_sizes)[None]  # one for all
        return Conditionals(self.weights, self.centres, factors, self.dof, U, known)

    def _joint(self, U):
        # squared distances by one product, in place: it is the exponentials that cost
        size = self.inverse_sizes
        rows, points = self.centres * size, U * size
        joint = rows @ points.T
        joint -= 0.5 * (points**2).sum(axis=1)
        constant = np.log(size).sum() - 0.5 * len(size) * math.log(2 * math.pi)
        joint += (constant + np.log(self.weights) - 0.5 * (rows**2).sum(axis=1))[:, None]
        return joint


#: What makes each component; the names stand beside the weights.
COMPONENTS = {
    "gaussian": Gaussian,
    "t_mixture": TMixture,
    "t_wide": WideTMixture,
    "t": StudentT,
    "mixture_2": partial(GaussianMixture, 2),
    "mixture_8": partial(GaussianMixture, 8),
    "mixture_32": partial(GaussianMixture, 32),
    "smooth_mixture_8": partial(GaussianMixture, 8, *_MORE),
    "smooth_mixture_32": partial(GaussianMixture, 32, *_MORE),
    "fine_mixture": FineMixture,
    "kernel_0.2": partial(KernelDensity, 0.2),
    "kernel_0.4": partial(KernelDensity, 0.4),
}

#: Those that always keep some weight.
HEAVY_TAILED = ("t_mixture", "t_wide", "t")


def fit_components(U, weight=None, rng=None, noise=0.0, names=None):
    """Components fitted to rows ``(n, d)``, as a dict from their names.

    ``weight`` are weights of the rows, of which only ratios matter. ``rng`` draws the rows of the
    mixtures and their start. ``noise`` is the standard deviation of noise in whose presence the
    densities shall be. ``names`` says which to fit; without it, those that suit the table.
    """
    statistics = Statistics(U, weight, rng, noise)
    if names is None:
        size = statistics.n_effective, U.shape[1]
        names = [name for name, make in COMPONENTS.items() if make().suits(*size)]
    return {name: COMPONENTS[name]().fit(statistics) for name in names}


class Statistics:
    """Rows that components are fitted to, and what several of them need, computed once.

    Parameters
    ----------
    U : ndarray of shape (n, d)
        Rows in standardised units.
    weight : ndarray of shape (n,) or None
    rng : RandomState
    noise : float

    Attributes
    ----------
    weight : ndarray of shape (n,)
        Adds up to 1.
    n_effective : float
        Number of rows that say as much if all count the same: ``1 / sum(weight**2)``.
    """

    def __init__(self, U, weight=None, rng=None, noise=0.0):
        weight = np.ones(len(U)) if weight is None else weight
        self.U, self.rng, self.noise = U, rng, noise
        self.weight = weight / weight.sum()
        self.n_effective = effective_rows(weight)
        self._starts, self._clusters, self._ellipses = {}, {}, {}

    @cached_property
    def spread(self):
        """Standard deviations of the columns ``(d,)``, 1 for constant ones."""
        variance = self.weight @ (self.U - self.weight @ self.U) ** 2
        return np.sqrt(np.where(variance > 0, variance, 1.0))

    def ellipses(self, n_clusters, regularisation=_LITTLE, widening=0.0):
        """Weights, centres and factors of that many ellipses; ``widening`` adds to variances."""
        key = n_clusters, regularisation, widening
        if key not in self._ellipses and not is_dense(self.n_effective, self.U.shape[1]):
            centre, loadings, variances = self.factor_model
            factor = low_rank_factor(loadings, variances + widening + self.noise**2)
            self._ellipses[key] = np.ones(1), centre[None], factor[None]
        if key not in self._ellipses:
            weights, centres, shapes = self.clusters(n_clusters, regularisation)
            wider = (widening + self.noise**2) * np.eye(self.U.shape[1])
            self._ellipses[key] = weights, centres, precision_factors(shapes + wider)
        return self._ellipses[key]

    @cached_property
    def factor_model(self):
        """Centre, loadings and own variances of the single ellipse of very many columns."""
        return fit_factor_model(self.U, self.weight, self.n_effective, self.rng)

    @cached_property
    def gaussian(self):
        """Mean, covariance and how much it is shrunk."""
        return likeliest_covariance(self.U, self.weight)

    def clusters(self, n_clusters, regularisation=_LITTLE):
        """Weights, centres and shapes: mean and shrunk covariance, or a Gaussian mixture's."""
        if n_clusters < 2:
            centre, shape, _ = self.gaussian
            return np.ones(1), centre[None], shape[None]
        key = n_clusters, regularisation
        if key not in self._clusters:
            labels, rows, weight = self._start(n_clusters)
            ridge, pooling = regularisation
            pooling = pooling * (1 + self.U.shape[1])
            shrinkage = self.gaussian[2]
            found = fit_gaussian_mixture(labels, rows, weight, ridge, pooling, shrinkage)
            self._clusters[key] = found
        return self._clusters[key]

    def _start(self, n_clusters):
        """Labels, rows and weights that EM starts from."""
        if n_clusters not in self._starts:
            some = self._few_rows(n_clusters)
            self._starts[n_clusters] = cluster_labels(n_clusters, *some, self.rng), *some
        return self._starts[n_clusters]

    def _few_rows(self, n_clusters):
        n_rows = _PRODUCTS_A_STEP // (n_clusters * self.U.shape[1] ** 2)
        n_rows = min(max(n_rows, _FEWEST_ROWS), _MOST_ROWS)
        if len(self.U) <= n_rows:
            return self.U, self.weight
        drawn = self.rng.choice(len(self.U), n_rows, replace=False)
        weight = self.weight[drawn]
        return self.U[drawn], weight / weight.sum()
