"""Normalizing-flow density estimators for scikit-learn."""

from . import masks
from ._flow_density import CouplingFlowDensity
from ._outlier import FlowOutlierDetector
from ._structure_search import StructureSearchFlow

__all__ = ["CouplingFlowDensity", "FlowOutlierDetector", "StructureSearchFlow", "masks"]
__version__ = "0.1.0.dev0"
