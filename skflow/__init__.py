"""Normalizing-flow density estimators for scikit-learn."""

from . import masks
from ._estimators.flow_density import CouplingFlowDensity
from ._estimators.structure_search import StructureSearchFlow
from ._flows.versions import show_versions
from ._outliers.outlier import FlowOutlierDetector
from ._regression.flow_regressor import FlowRegressor
from .imputer import FlowImputer

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
