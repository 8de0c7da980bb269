"""The methods of the likelihood benchmark, behind one interface.

``make(name, seed=..., budget=...)`` gives an object with ``fit(X, is_valid)``, where `is_valid`
marks the validation rows among the training rows, ``score_samples(X)`` in nats a row and in the
units of the data, and ``detail``, a few words on what was chosen. Every peer sees standardised
data, and the log-determinant of that is added back. skflow, zuko and nflows are imported where they
are used, so that each runs without the others.
"""

import itertools
import time
import warnings
from functools import partial

import numpy as np
import torch
from _data import integral
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity


class Skflow:
    """skflow with its defaults; it standardises and holds out validation rows by itself."""

    def __init__(self, *, seed, budget, **params):
        self.seed, self.params = seed, params

    def fit(self, X, is_valid):
        from skflow import CouplingFlowDensity

        self._model = CouplingFlowDensity(random_state=self.seed, **self.params).fit(X)
        self.detail = f"{self._model.n_parameters_} parameters"
        return self

    def score_samples(self, X):
        return self._model.score_samples(X)


class Peer:
    """Standardises; a method adds ``_fit(Z, is_valid)`` and ``_score(Z)``."""

    def __init__(self, *, seed, budget):
        self.seed, self.budget = seed, budget

    def fit(self, X, is_valid):
        self._deadline = time.process_time() + self.budget
        self._mean, scale = X.mean(axis=0), X.std(axis=0)
        self._scale = np.where(scale > 0, scale, 1.0)
        self._fit((X - self._mean) / self._scale, is_valid)
        return self

    def score_samples(self, X):
        return self._score((X - self._mean) / self._scale) - np.log(self._scale).sum()

    def _seconds_left(self):
        return self._deadline - time.process_time()


class ShrunkGaussian(Peer):
    """One Gaussian with the covariance of Ledoit and Wolf."""

    def _fit(self, Z, is_valid):
        estimate = LedoitWolf().fit(Z)
        self._score = multivariate_normal(estimate.location_, estimate.covariance_).logpdf
        self.detail = f"shrinkage {estimate.shrinkage_:.2g}"


class Mixture(Peer):
    """Gaussian mixture: components by BIC for each ``reg_covar``, that by validation likelihood.

    Candidates are fitted without the validation rows, and to at most `N_SUBSAMPLE` others. The
    choice may take three fifths of the time; the one chosen is then refitted to all rows.
    """

    N_COMPONENTS = (1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30, 35, 40)
    REG_COVAR = (1e-4, 1e-3, 1e-2, 1e-5, 1e-6, 1e-1)  # the likely ones first, should time run out
    N_SUBSAMPLE = 20_000
    PATIENCE = 2

    def _fit(self, Z, is_valid):
        rows = np.random.default_rng(self.seed).permutation(np.flatnonzero(~is_valid))
        sample = Z[rows[: self.N_SUBSAMPLE]]
        best, best_score = None, -np.inf
        for reg_covar in self.REG_COVAR:
            model = self._choose_n_components(sample, reg_covar)
            score = -np.inf if model is None else model.score(Z[is_valid])
            if score > best_score:
                best, best_score = model, score
        stopped = ", time budget" if self._out_of_time() else ""
        self.detail = f"{best.n_components} components, reg_covar={best.reg_covar:g}{stopped}"
        self._score = self._refit(best, Z).score_samples

    def _out_of_time(self):
        return self._seconds_left() < 0.4 * self.budget

    def _choose_n_components(self, Z, reg_covar):
        """The candidate of the best BIC; components are added until it worsens."""
        best, best_bic, worse = None, np.inf, 0
        for k in self.N_COMPONENTS:
            if k > len(Z) or worse == self.PATIENCE or self._out_of_time():
                break
            model = self._em(Z, k, reg_covar)
            bic = np.inf if model is None else model.bic(Z)
            worse += 1
            if bic < best_bic:
                best, best_bic, worse = model, bic, 0
        return best

    def _em(self, Z, n_components, reg_covar, **start):
        model = GaussianMixture(
            n_components, reg_covar=reg_covar, random_state=self.seed, max_iter=200, **start
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model.fit(Z)
        except ValueError:  # a covariance that is not positive definite: too little reg_covar
            return None

    def _refit(self, model, Z):
        start = {
            "weights_init": model.weights_,
            "means_init": model.means_,
            "precisions_init": model.precisions_,
        }
        return self._em(Z, model.n_components, model.reg_covar, **start) or model


class Kernel(Peer):
    """Gaussian kernels of one bandwidth, chosen by cross-validated likelihood.

    A fold's density is of all the other rows; it is evaluated on at most `N_QUERIES` of the fold.
    scikit-learn's tree loses all digits of densities far from the data (its issue 25799): values up
    to 480 nats too large on MAGIC's test rows. A single leaf gives exact sums.
    """

    BANDWIDTHS = np.geomspace(2.0, 0.02, 26)
    N_FOLDS = 5
    N_QUERIES = 400
    PATIENCE = 3

    def _fit(self, Z, is_valid):
        order = np.random.default_rng(self.seed).permutation(len(Z))
        folds = np.array_split(order, self.N_FOLDS)
        scores = []
        for bandwidth in self.BANDWIDTHS:
            scores.append(sum(self._fold_score(Z, fold, bandwidth) for fold in folds))
            worse = len(scores) - 1 - np.argmax(scores)
            if worse == self.PATIENCE or self._seconds_left() < 0:
                break
        bandwidth = self.BANDWIDTHS[np.argmax(scores)]
        self._score = self._density(Z, bandwidth).score_samples
        self.detail = f"bandwidth {bandwidth:.3g}"

    @staticmethod
    def _density(Z, bandwidth):
        return KernelDensity(bandwidth=bandwidth, leaf_size=len(Z)).fit(Z)

    def _fold_score(self, Z, fold, bandwidth):
        density = self._density(np.delete(Z, fold, axis=0), bandwidth)
        return density.score_samples(Z[fold[: self.N_QUERIES]]).mean()


class Vine(Peer):
    """A vine copula of nonparametric pairs, with kernel margins (pyvinecopulib).

    It takes its own defaults.
    """

    def _fit(self, Z, is_valid):
        from pyvinecopulib.sklearn import VineDensity

        self._model = VineDensity(random_state=self.seed).fit(Z)
        self._score = self._model.score_samples
        self.detail = "tll pairs"


class Flow(Peer):
    """A flow of zuko or nflows, all trained alike.

    AdamW with a learning rate of 1e-3, as their documentation has it, batches of 256, gradients
    clipped. The learning rate halves after every `PATIENCE_LR` checks without a better validation
    likelihood; training stops after `PATIENCE` of them, or when time is up; the best state is
    restored. A check is an epoch, or `MIN_STEPS` steps where an epoch has fewer. With `anneal` the
    learning rate falls to zero over the time budget besides, by a cosine.
    """

    BATCH_SIZE = 256
    CLIP_NORM = 5.0
    PATIENCE = 20
    PATIENCE_LR = 8
    MIN_STEPS = 10
    BLOCK = 4096

    def __init__(self, *, build, learning_rate=1e-3, anneal=False, **kwargs):
        super().__init__(**kwargs)
        self.build, self.learning_rate, self.anneal = build, learning_rate, anneal

    def _fit(self, Z, is_valid):
        torch.manual_seed(self.seed)
        self._flow, self._log_prob = self.build(Z.shape[1])
        Z_fit = torch.as_tensor(Z[~is_valid], dtype=torch.float32)
        optimizer = torch.optim.AdamW(self._flow.parameters())
        batches, self._n_steps = self._batches(Z_fit), 0
        n_steps = max(-(-len(Z_fit) // self.BATCH_SIZE), self.MIN_STEPS)

        peak, waited, best, best_state = self.learning_rate, 0, -np.inf, self._state()
        while waited < self.PATIENCE and self._seconds_left() > 0:
            self._train(itertools.islice(batches, n_steps), optimizer, peak)
            score = self._score(Z[is_valid]).mean()
            waited += 1
            if score > best:
                best, waited, best_state = score, 0, self._state()
            elif waited % self.PATIENCE_LR == 0:
                peak /= 2

        self._flow.load_state_dict(best_state)
        stopped = "early stopping" if waited == self.PATIENCE else "time budget"
        self.detail = f"{self._n_steps} steps, {stopped}"

    def _batches(self, Z):
        """Batches without end; within an epoch every row comes once."""
        while True:
            for rows in torch.randperm(len(Z)).split(self.BATCH_SIZE):
                yield Z[rows]

    def _train(self, batches, optimizer, peak):
        for batch in batches:
            left = np.clip(self._seconds_left() / self.budget, 0.0, 1.0) if self.anneal else 1.0
            optimizer.param_groups[0]["lr"] = peak * (1 - np.cos(np.pi * left)) / 2
            optimizer.zero_grad()
            self._log_prob(batch).mean().neg().backward()
            norm = torch.nn.utils.clip_grad_norm_(self._flow.parameters(), self.CLIP_NORM)
            if torch.isfinite(norm):
                optimizer.step()
            self._n_steps += 1
            if self._seconds_left() < 0:
                break

    def _state(self):
        return {name: value.clone() for name, value in self._flow.state_dict().items()}

    @torch.no_grad()
    def _score(self, Z):
        blocks = torch.as_tensor(Z, dtype=torch.float32).split(self.BLOCK)
        return torch.cat([self._log_prob(block) for block in blocks]).double().numpy()


def _zuko(name, **params):
    """What builds a flow of zuko, with the hidden layers that its documentation uses."""

    def build(d):
        import zuko

        flow = getattr(zuko.flows, name)(d, hidden_features=(64, 64), **params)
        return flow, lambda x: flow().log_prob(x)

    return build


def _nflows_spline(d, *, n_layers=6, tail_bound=5.0):
    """Rational-quadratic coupling layers of nflows with alternating masks and residual networks."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow as NFlow
    from nflows.nn.nets import ResidualNet
    from nflows.transforms import CompositeTransform
    from nflows.transforms import PiecewiseRationalQuadraticCouplingTransform as Coupling
    from nflows.utils import create_alternating_binary_mask as alternating_mask

    layers = [
        Coupling(
            mask=alternating_mask(d, even=i % 2 == 0),
            transform_net_create_fn=partial(ResidualNet, hidden_features=64, num_blocks=2),
            num_bins=8,
            tails="linear",
            tail_bound=tail_bound,
        )
        for i in range(n_layers)
    ]
    flow = NFlow(CompositeTransform(layers), StandardNormal([d]))
    return flow, flow.log_prob


METHODS = {
    "skflow": Skflow,
    "skflow-x4": partial(Skflow, n_estimators=4),
    "mixture": Mixture,
    "kernel": Kernel,
    "ledoit-wolf": ShrunkGaussian,
    "vine": Vine,
    "zuko-maf": partial(Flow, build=_zuko("MAF", transforms=3)),
    "zuko-nsf": partial(Flow, build=_zuko("NSF", transforms=3)),
    "zuko-nsf-annealed": partial(
        Flow, build=_zuko("NSF", transforms=3), learning_rate=3e-3, anneal=True
    ),
    "zuko-nsf-coupling": partial(Flow, build=_zuko("NSF", transforms=6, passes=2)),
    "zuko-realnvp": partial(Flow, build=_zuko("RealNVP", transforms=6)),
    "nflows-spline": partial(Flow, build=_nflows_spline),
}

LABELS = {
    "skflow": "skflow",
    "skflow-x4": "skflow, 4 members",
    "mixture": "Gaussian mixture",
    "kernel": "kernel density",
    "ledoit-wolf": "Ledoit-Wolf Gaussian",
    "vine": "vine copula",
    "zuko-maf": "zuko MAF",
    "zuko-nsf": "zuko NSF",
    "zuko-nsf-annealed": "zuko NSF, annealed",
    "zuko-nsf-coupling": "zuko NSF coupling",
    "zuko-realnvp": "zuko RealNVP",
    "nflows-spline": "nflows spline coupling",
}
VALIDATION_FRACTION = 0.1


def make(name, *, seed, budget):
    """The method of this name, not yet fitted."""
    return METHODS[name](seed=seed, budget=budget)


def is_validation(n, seed):
    """Marks the validation rows among `n` training rows."""
    n_valid = max(1, round(VALIDATION_FRACTION * n))
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:n_valid]] = True
    return mask


def self_check(methods, budget):
    """Fit correlated 2-D Gaussian rows; True if all integrate to one and reach the entropy."""
    truth = multivariate_normal([5.0, -1.0], [[9.0, 0.45], [0.45, 0.04]])
    X, X_test = np.split(truth.rvs(8000, random_state=0), 2)
    right = True
    for name in methods:
        model = make(name, seed=0, budget=budget).fit(X, is_validation(len(X), seed=0))
        gap = (truth.logpdf(X_test) - model.score_samples(X_test)).mean() / 2
        total = integral(model.score_samples, X.mean(axis=0), 7 * X.std(axis=0), n=200)
        print(f"{name}: integral {total:.4f}, gap to the entropy {gap:.4f} nats/dim", flush=True)
        right &= abs(gap) < 0.03 and abs(total - 1) < 0.01
    return right
