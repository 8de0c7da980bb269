"""Normalizing-flow density estimators for scikit-learn."""

from . import masks
from ._nn.versions import show_versions
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
    "masks",
    "show_versions",
]
for _public in (
    CouplingFlowDensity,
    FlowImputer,
    FlowOutlierDetector,
    FlowRegressor,
    StructureSearchFlow,
):
    _public.__module__ = __name__  # the name that files keep, wherever the class lives

__version__ = "0.1.0.dev0"
