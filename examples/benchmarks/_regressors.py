"""Regressors that predict distributions, all in one shape for ``regression.py``.

Each is a function ``(X, y, seed)`` that fits with its defaults or with what its authors recommend,
and returns a function of new rows that gives a ``Prediction``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import logsumexp
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LEVELS = np.arange(0.025, 1, 0.025)
ENDS = (0.05, 0.95)


class Prediction(NamedTuple):
    """Of new rows: means ``(n,)``, quantiles ``(n, m)`` at ``LEVELS``, 90 % intervals ``(n, 2)``,
    and the log-density of targets ``(n,)``, or None where there is none."""

    mean: np.ndarray
    quantiles: np.ndarray
    interval: np.ndarray
    log_density: Callable | None


def skflow(X, y, seed):
    from skflow import FlowRegressor

    regressor = FlowRegressor(random_state=seed).fit(X, y)
    return lambda new: Prediction(
        regressor.predict(new),
        regressor.predict_quantiles(new, LEVELS),
        regressor.predict_interval(new, 0.9),
        lambda truth: regressor.score_samples(new, truth),
    )


def imputed(X, y, seed):
    """skflow's regressor behind chained ridge regressions, for tables with missing features."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    imputer = IterativeImputer(random_state=seed).fit(X)
    predict = skflow(imputer.transform(X), y, seed)
    return lambda new: predict(imputer.transform(new))


def _normal(mean, std):
    distribution = stats.norm(mean[:, None], std[:, None])
    return Prediction(
        mean, distribution.ppf(LEVELS), distribution.ppf(ENDS), stats.norm(mean, std).logpdf
    )


def ngboost(X, y, seed):
    """Normal distributions; with as many trees as are best on a fifth of the rows."""
    from ngboost import NGBRegressor

    rows, held_out = train_test_split(np.arange(len(X)), test_size=0.2, random_state=seed)
    options = dict(learning_rate=0.01, verbose=False, random_state=seed)
    trial = NGBRegressor(n_estimators=2000, **options)
    trial.fit(X[rows], y[rows], X[held_out], y[held_out])
    best = int(trial.best_val_loss_itr) + 1
    regressor = NGBRegressor(n_estimators=best, **options).fit(X, y)

    def predict(new):
        parameters = regressor.pred_dist(new).params
        return _normal(parameters["loc"], parameters["scale"])

    return predict


def gaussian_process(X, y, seed):
    """Squared-exponential kernel with a length scale for each feature, and noise of one size.

    Of more than 1500 rows it gets as many, drawn at random: its time grows with their cube.
    """
    if len(X) > 1500:
        rows = np.random.RandomState(seed).choice(len(X), 1500, replace=False)
        X, y = X[rows], y[rows]
    kernel = ConstantKernel() * RBF(np.ones(X.shape[1]), (1e-2, 1e4)) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    regressor = make_pipeline(StandardScaler(), process).fit(X, y)
    return lambda new: _normal(*regressor.predict(new, return_std=True))


def quantile_forest(X, y, seed):
    from quantile_forest import RandomForestQuantileRegressor

    forest = RandomForestQuantileRegressor(200, random_state=seed).fit(X, y)

    def predict(new):
        interval = forest.predict(new, quantiles=list(ENDS))
        quantiles = forest.predict(new, quantiles=list(LEVELS))
        return Prediction(forest.predict(new, quantiles="mean"), quantiles, interval, None)

    return predict


def quantile_boosting(X, y, seed):
    """A booster for every level; crossing quantiles are put in order."""
    options = dict(random_state=seed, early_stopping=True)

    def boost(**loss):
        return HistGradientBoostingRegressor(**loss, **options).fit(X, y)

    levels = [boost(loss="quantile", quantile=level) for level in LEVELS]
    ends = [boost(loss="quantile", quantile=level) for level in ENDS]
    mean = boost()

    def predict(new):
        quantiles, interval = (
            np.sort(np.column_stack([one.predict(new) for one in boosters]), axis=1)
            for boosters in (levels, ends)
        )
        return Prediction(mean.predict(new), quantiles, interval, None)

    return predict


def vine(X, y, seed):
    """A vine copula of nonparametric pairs with kernel margins, its defaults (pyvinecopulib).

    What it knows of a target given the features are weights of 401 of its quantiles. Between these
    the density, as a multiple of the target's margin, is a straight line in probability.
    """
    from pyvinecopulib.sklearn import VineRegressor

    levels = [*ENDS, *LEVELS]
    regressor = VineRegressor(quantiles=levels, random_state=seed).fit(X, y)
    margin, nodes = regressor.distribution_.margins[0], regressor.y_nodes_
    reached = margin.cdf(nodes)

    def predict(new):
        mean, low, high, *quantiles = regressor.predict(new).T

        def log_density(truth):
            ratio = regressor.conditional_weights(new) / np.gradient(reached)
            place = margin.cdf(truth)
            copula = [np.interp(u, reached, row) for u, row in zip(place, ratio)]
            with np.errstate(divide="ignore"):
                return np.log(copula) + np.log(margin.pdf(truth))

        return Prediction(mean, np.transpose(quantiles), np.column_stack([low, high]), log_density)

    return predict


def zuko(X, y, seed, n_members=5):
    """Conditional spline flows, trained as skflow's without noise: averaged, best states kept."""
    import torch
    from zuko.flows import NSF

    from skflow._nn import recipe as _recipe

    scale_x, scale_y = StandardScaler().fit(X), StandardScaler().fit(y[:, None])
    U = torch.as_tensor(scale_y.transform(y[:, None]), dtype=torch.float32)
    C = torch.as_tensor(scale_x.transform(X), dtype=torch.float32)
    members = []
    for k in range(n_members):
        torch.manual_seed(1000 * seed + k)
        rows, held_out = train_test_split(np.arange(len(X)), test_size=0.1, random_state=k)
        flow = NSF(1, X.shape[1], transforms=2, hidden_features=(64, 64))
        size = _recipe.batch_size(len(rows))
        n_steps = len(rows) // size
        n_epochs = _recipe.max_iter(n_steps)
        decay = _recipe.conditional_alpha(len(rows), 1 + X.shape[1])
        optimizer = torch.optim.AdamW(flow.parameters(), lr=0.01, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, n_epochs * n_steps)
        best, state = math.inf, None
        for _ in range(n_epochs):
            order = rows[torch.randperm(len(rows)).numpy()]
            for step in range(n_steps):
                batch = order[step * size : (step + 1) * size]
                optimizer.zero_grad()
                loss = -flow(C[batch]).log_prob(U[batch]).mean()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                held = -flow(C[held_out]).log_prob(U[held_out]).mean().item()
            if held < best:
                best, state = held, {k: v.clone() for k, v in flow.state_dict().items()}
        flow.load_state_dict(state)
        members.append(flow)

    def predict(new):
        context = torch.as_tensor(scale_x.transform(new), dtype=torch.float32)

        @torch.no_grad()
        def log_density(truth):
            u = torch.as_tensor(scale_y.transform(truth[:, None]), dtype=torch.float32)
            logs = [flow(context).log_prob(u).numpy().astype(float) for flow in members]
            return logsumexp(logs, axis=0) - math.log(n_members) - math.log(scale_y.scale_[0])

        with torch.no_grad():
            draws = torch.cat([flow(context).sample((200,)) for flow in members])[..., 0].numpy()
        draws = draws * scale_y.scale_ + scale_y.mean_
        quantiles, interval = (np.quantile(draws, at, axis=0).T for at in (LEVELS, ENDS))
        return Prediction(draws.mean(axis=0), quantiles, interval, log_density)

    return predict


METHODS = {
    "skflow": skflow,
    "imputed": imputed,
    "zuko": zuko,
    "vine": vine,
    "ngboost": ngboost,
    "gp": gaussian_process,
    "quantile-forest": quantile_forest,
    "quantile-boosting": quantile_boosting,
}
LABELS = {
    "skflow": "skflow",
    "imputed": "imputer, skflow",
    "zuko": "zuko, conditional NSF",
    "vine": "vine copula",
    "ngboost": "NGBoost",
    "gp": "Gaussian process",
    "quantile-forest": "quantile forest",
    "quantile-boosting": "quantile boosting",
}
