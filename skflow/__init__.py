"""Normalizing-flow density estimators for scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import masks
    from ._nn.kernels import show_versions
    from ._nn.settings import Training
    from .density import CouplingFlowDensity, StructureSearchFlow
    from .imputer import FlowImputer
    from .outliers import FlowOutlierDetector
    from .regressor import FlowRegressor

__all__ = [
    "CouplingFlowDensity",
    "FlowImputer",
    "FlowOutlierDetector",
    "FlowRegressor",
    "StructureSearchFlow",
    "Training",
    "masks",
    "show_versions",
]

__version__ = "1.0.0rc1"

#: Where public names live. PyTorch and scikit-learn take seconds to import, so a name is fetched
#: when it is first asked for, with what it needs alone.
_HOMES = {
    "CouplingFlowDensity": "density",
    "FlowImputer": "imputer",
    "FlowOutlierDetector": "outliers",
    "FlowRegressor": "regressor",
    "StructureSearchFlow": "density",
    "Training": "_nn.settings",
    "show_versions": "_nn.kernels",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    elif name == "masks":
        import_module(".masks", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
