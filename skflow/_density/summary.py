"""Fitted attributes of a density estimator, and its summary in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.summary import ShowsSummary, by_weight, counted
from .._models.fitting import Fit

_NARROW_LEAD = 0.05  # nats a row within which a Gaussian is as good


class Summarised(ShowsSummary):
    """Base of estimators with fitted attributes and a summary."""

    _fitted: Fit
    _table: Any
    n_features_in_: int
    n_layers: int
    coupling: str
    hidden_layer_sizes: Any
    _layout: Callable[[], Any]

    # ---- the model, as views of its single copy

    @property
    def masks_(self) -> np.ndarray:
        masks = self._fitted.density.flow.masks[:: self._fitted.n_folds]
        return masks[0] if len(masks) == 1 else masks

    @property
    def n_parameters_(self) -> int:
        return self._fitted.density.flow.n_parameters

    @property
    def weights_(self) -> np.ndarray:
        return self._fitted.density.mixture.weights

    @property
    def component_names_(self) -> np.ndarray:
        return np.array(list(self._fitted.density.mixture.models))

    @property
    def component_weight_(self) -> float:
        return float(self.weights_[1:].sum())

    @property
    def location_(self) -> np.ndarray:
        return self._of_all_columns(self._fitted.density.columns.location)

    @property
    def scale_(self) -> np.ndarray:
        return self._of_all_columns(self._fitted.density.columns.scale)

    @property
    def grid_steps_(self) -> np.ndarray:
        return self._of_all_columns(self._fitted.density.columns.step)

    def _of_all_columns(self, values: np.ndarray) -> np.ndarray:
        """Return values of the real columns for all columns, NaN for categorical ones."""
        return self._fitted.density.schema.spread(values)

    @property
    def columns_(self) -> dict:
        density = self._fitted.density
        found = density.schema.described(density.columns.kinds)
        return dict(zip(self._table.names or range(len(found)), found))

    # ---- the training and the search

    @property
    def n_iter_(self) -> int:
        return self._fitted.n_epochs

    @property
    def loss_curve_(self) -> list:
        return self._fitted.loss_curve

    @property
    def validation_scores_(self) -> list | None:
        return self._fitted.validation_scores

    @property
    def search_history_(self) -> list:
        log_det = self._fitted.account["log_det"]
        return [record.shifted(-log_det) for record in self._first_search().history]

    @property
    def initial_masks_(self) -> np.ndarray:
        return self._first_search().history[0].masks

    @property
    def search_stop_reason_(self) -> str:
        first = self._first_search()
        reasons = [choice.stop_reason for choice in self._fitted.choices]
        return "interrupted" if "interrupted" in reasons else first.stop_reason

    def _first_search(self) -> Any:
        """Return the choice of the first member; raise if its masks were not searched."""
        first = self._fitted.choices[0]
        if not first.history:
            raise AttributeError("The masks of this estimator were not searched.")
        return first

    # ---- in words

    @property
    def _n_rows(self) -> int:
        return self._fitted.account["n_rows"]

    def _summary_lines(self) -> dict[str, str]:
        account = self._fitted.account
        return {
            "columns": counted(self.columns_.values()),
            "layout": _layout(self),
            "flow": _flow(self, account),
            "training": _training(self, account),
            "weights": by_weight(self.component_names_, self.weights_),
            "held out": _held_out(account),
            "to try": _advice(self, account),
        }


def _layout(estimator: Summarised) -> str:
    history = getattr(estimator, "search_history_", None)
    if history:
        return (
            f"searched: {len(history) - 1} iterations, ended by "
            f"{estimator.search_stop_reason_!r}; cost {history[0].cost:.3f} at first, "
            f"{history[-1].best_cost:.3f} at last"
        )
    layout = estimator._layout()
    name = type(layout).__name__
    if name == "Race":
        return " or ".join(sorted({choice.state for choice in estimator._fitted.choices}))
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


def _flow(estimator: Summarised, account: dict[str, Any]) -> str:
    members = estimator._fitted.density.flow.n_members
    text = (
        f"{estimator.n_layers} {estimator.coupling} layers, hidden layers "
        f"{estimator.hidden_layer_sizes}, {estimator.n_parameters_:,} parameters"
    )
    if members > 1:
        text += f"; {members} members are averaged"
    return f"{text}, each trained on {account['n_training']:,} rows"


def _training(estimator: Summarised, account: dict[str, Any]) -> str:
    done, planned = estimator.n_iter_, account["n_epochs"]
    text = f"{done} epoch{'s' * (done > 1)}, all that {account['limit']} allows"
    if done < planned:
        text = f"{done} of {planned} epochs, ended as nothing improved any more"
    if estimator.validation_scores_:
        text += f"; the best was epoch {_best_epoch(estimator.validation_scores_)}"
    return text


def _best_epoch(scores: list[float]) -> int:
    return 1 + int(np.argmax(scores))


def _held_out(account: dict[str, Any]) -> str:
    if "density" not in account:
        return "no rows"
    gain = account["density"] - account["gaussian"]
    return (
        f"{account['density']:.3f} nats a row, one Gaussian {account['gaussian']:.3f}: "
        f"{abs(gain):.3f} {'more' if gain >= 0 else 'less'}"
    )


def _advice(estimator: Summarised, account: dict[str, Any]) -> str:
    if account["limit"] == "max_time":
        return "a larger max_time: it cut the training short"
    if "density" in account and account["density"] < account["gaussian"] + _NARROW_LEAD:
        return "one Gaussian is as good here, simpler and faster: sklearn.covariance.LedoitWolf"
    if estimator.weights_[0] < 0.5:
        return (
            "simple densities have most of the weight: sklearn.mixture may be as good, and faster"
        )
    if (
        estimator.validation_scores_
        and _best_epoch(estimator.validation_scores_) < estimator.n_iter_ / 2
    ):
        return "the flow overfits after its best epoch: raise training.alpha, or leave columns out"
    if estimator._fitted.density.flow.n_members == 1:
        return "n_estimators=4: an average of several flows is usually a little better"
    return ""
