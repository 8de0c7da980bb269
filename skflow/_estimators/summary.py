"""What a fitted estimator tells of itself, in words and as attributes."""

import math
import time
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._table.table import Table

_NARROW_LEAD = 0.05  # nats a row by which a Gaussian is as good


class Summarised:
    """Base of estimators that can say what was fitted."""

    _account: dict
    _columns: Any
    _table: Table
    n_features_in_: int

    @property
    def location_(self):
        return self._of_all_columns(self._columns.location)

    @property
    def scale_(self):
        return self._of_all_columns(self._columns.scale)

    @property
    def grid_steps_(self):
        return self._of_all_columns(self._columns.step)

    def _of_all_columns(self, values):
        """Values of the real columns as those of all; NaN for columns with categories."""
        return values if self._kinds is None else self._kinds.spread(values)

    @property
    def columns_(self):
        real, kinds = _kinds_of(self._columns), self._kinds
        if kinds is not None:
            real = kinds.described(real)
        names = self._table.names
        return dict(zip(range(len(real)) if names is None else names, real))

    def summary(self) -> str:
        """What was fitted, how, and how good it is, in words.

        Rows and kinds of columns; the layout and where it comes from; the flow and its training,
        and why that ended; the weights of flow and components; and, where rows were held out, the
        mean log-density of these beside that of one Gaussian that was fitted to the same rows. At
        the end, what to try next.

        Returns
        -------
        summary : str
            To be printed.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skflow import CouplingFlowDensity
        >>> flow = CouplingFlowDensity(max_iter=10, random_state=0).fit(load_iris().data)
        >>> print(flow.summary())
        CouplingFlowDensity, fitted to 150 rows of 4 columns in ... seconds
        columns   4 real
        layout    derived from the data, without training
        flow      6 spline layers, ...
        """
        check_is_fitted(self)
        account = self._account
        parts = {
            "columns": _counted(self.columns_.values()),
            "layout": _layout(self),
            "flow": _flow(self, account),
            "training": _training(self, account),
            "weights": _weights(self),
            "held out": _held_out(account),
            "to try": _advice(self, account),
        }
        lines = [f"{name:10}{text}" for name, text in parts.items() if text]
        head = (
            f"{type(self).__name__}, fitted to {account['n_rows']:,} rows of "
            f"{self.n_features_in_} columns in {account['seconds']:.1f} seconds"
        )
        return "\n".join([head, *lines])


def account_for(options, data, log_det, held_out, started):
    """Numbers of a fit that ``summary`` needs, as a dict.

    ``held_out`` are the mean log-densities, in standardised units, of the whole density and of a
    Gaussian, or None; ``started`` is the time at which the fit began.
    """
    account = {
        "n_rows": len(data.table),
        "n_training": data.rows.shape[1],
        "n_epochs": math.ceil(options.n_steps / options.steps_per_epoch),
        "seconds": time.perf_counter() - started,
    }
    if held_out is not None:
        shift = data.mean(log_det, data.validation_rows)
        density, gaussian = (float(value + shift) for value in held_out)
        account.update(density=density, gaussian=gaussian)
    return account


def _kinds_of(columns):
    """The kind of each real column in a word."""
    bounded = np.isfinite(columns.bounds.lower) | np.isfinite(columns.bounds.upper)
    chosen = [columns.constant, columns.step > 0, bounded]
    return np.select(chosen, ["constant", "on a grid", "bounded"], "real").astype(object)


def _counted(kinds):
    """How many columns are of each kind, in words."""
    first_words = [kind.split(" (")[0] for kind in kinds]
    order = ["real", "bounded", "on a grid", "constant"]
    order += [kind for kind in dict.fromkeys(first_words) if kind not in order]
    counts = {kind: first_words.count(kind) for kind in order}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _layout(estimator):
    history = getattr(estimator, "search_history_", None)
    if history:
        return (
            f"searched: {len(history) - 1} iterations, ended by "
            f"{estimator.search_stop_reason_!r}; cost {history[0].cost:.3f} at first, "
            f"{history[-1].best_cost:.3f} at last"
        )
    layout = estimator._layout()
    name = type(layout).__name__
    if name == "Rule":
        name = layout.rule if isinstance(layout.rule, str) else "given"
    known = {
        "Derived": "derived from the data, without training",
        "parity": "parity, a rule",
        "random": "drawn at random",
        "Triangular": "triangular, one feature a layer",
        "given": "as given",
    }
    return known.get(name, name)


def _flow(estimator, account):
    members = estimator._density.flow.n_models
    text = (
        f"{estimator.n_layers} {estimator.coupling} layers, hidden layers "
        f"{estimator.hidden_layer_sizes}, {estimator.n_parameters_:,} parameters"
    )
    if members > 1:
        text += f"; {members} members are averaged"
    return f"{text}, each trained on {account['n_training']:,} rows"


def _training(estimator, account):
    done, planned = estimator.n_iter_, account["n_epochs"]
    text = f"{done} epochs, all that max_iter allows"
    if done < planned:
        text = f"{done} of {planned} epochs, ended as nothing improved any more"
    if estimator.validation_scores_:
        text += f"; the best was epoch {_best_epoch(estimator)}"
    return text


def _best_epoch(estimator):
    return 1 + int(np.argmax(estimator.validation_scores_))


def _weights(estimator):
    named = zip(estimator.component_names_, estimator.weights_)
    ordered = sorted(named, key=lambda pair: -pair[1])
    return ", ".join(f"{name} {weight:.3f}" for name, weight in ordered)


def _held_out(account):
    if "density" not in account:
        return "no rows"
    gain = account["density"] - account["gaussian"]
    return (
        f"{account['density']:.3f} nats a row, one Gaussian {account['gaussian']:.3f}: "
        f"{abs(gain):.3f} {'more' if gain >= 0 else 'less'}"
    )


def _advice(estimator, account):
    if "density" in account and account["density"] < account["gaussian"] + _NARROW_LEAD:
        return "one Gaussian is as good here, simpler and faster: sklearn.covariance.LedoitWolf"
    if estimator.weights_[0] < 0.5:
        return (
            "simple densities have most of the weight: sklearn.mixture may be as good, and faster"
        )
    if estimator.validation_scores_ and _best_epoch(estimator) < estimator.n_iter_ / 2:
        return "the flow overfits after its best epoch: raise alpha, or leave columns out"
    if estimator._density.flow.n_models == 1:
        return "n_estimators=4: an average of several flows is usually a little better"
    return ""
