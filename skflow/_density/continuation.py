"""What a warm start cannot change: an estimator's parameters at its first fit, as text."""

import hashlib

import numpy as np

from .._nn.recipe import flow_config
from .._nn.settings import training_of
from .._structure.layouts import Rule

#: Parameters that are about the columns and the stack.
_FIXED = (
    *("n_layers", "dequantize", "bounds", "n_estimators"),
    *("categorical_features", "handle_unknown", "spikes"),
)
#: Those of a search that may change while it goes on: how long, where, what is made of it.
_FREE = {"n_iter", "n_iter_no_change", "top_k", "n_jobs", "max_time", "checkpoint"}

ANEW = (
    "warm_start=True goes on with the columns of the last fit: set warm_start=False to start anew."
)


def fixed_parameters(estimator, layout):
    """Names and values, as text, of all parameters that a warm start has to find as they were."""
    values = {name: getattr(estimator, name) for name in ("n_features_in_", *_FIXED)}
    values |= flow_config(estimator) | {"training.standardize": training_of(estimator).standardize}
    params = estimator.get_params(deep=False)
    prefix = "mask_layout__" if "mask_layout" in params else ""
    if prefix:
        values["mask_layout"] = type(layout).__name__
    if isinstance(layout, Rule):
        values |= {"mask_layout": layout.rule, "n_conditioning": layout.n_conditioning}
    elif hasattr(layout, "get_params"):
        chosen = layout.get_params(deep=False).items()
        values |= {prefix + name: value for name, value in chosen if name not in _FREE}
    elif prefix:
        values["mask_layout"] = layout
    return {name: _text(value) for name, value in values.items()}


def check_unchanged(before, now):
    """Raise if parameters are not as they were, with the name, old and new value of each."""
    # another layout has other parameters; that it is another one says enough
    names = [name for name in before if name in now and before[name] != now[name]]
    if names:
        listed = "; ".join(f"{name} was {before[name]}, now {now[name]}" for name in names)
        raise ValueError(
            f"warm_start=True goes on with the flow of the last fit, which cannot change: {listed}."
            f" Set them back. {ANEW}"
        )


def _text(value):
    """The value in words that are the same in another process."""
    if isinstance(value, np.ndarray) and value.size > 20:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:8]
        return f"an array of shape {value.shape} ({digest})"
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        listed = ", ".join(f"{name}={_text(params[name])}" for name in sorted(params))
        return f"{type(value).__name__}({listed})"
    if type(value).__repr__ is object.__repr__ or hasattr(value, "__qualname__"):
        return getattr(value, "__qualname__", type(value).__name__)
    return repr(value)
