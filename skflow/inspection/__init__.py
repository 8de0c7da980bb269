"""Pictures of fitted flows: displays in scikit-learn's manner.

A display stores arrays and draws them. ``from_estimator`` computes the arrays and draws at once;
``plot`` draws again, into other axes if given. ``ax_`` (``axes_`` for several) and ``figure_`` are
matplotlib objects, for changes that the display has no argument for. matplotlib is imported when
something is drawn; the extra ``plot`` installs it.

People with any colour vision can tell the colours apart (Okabe and Ito 2008).
"""

from ._calibration import PITDisplay
from ._conditional import ConditionalDisplay
from ._curves import SearchHistoryDisplay, TrainingCurveDisplay
from ._density import DensityDisplay
from ._masks import MaskDisplay
from ._outliers import OutlierReportDisplay, ShiftDisplay
from ._pairs import PairPlotDisplay
from ._predictive import CoverageDisplay, PredictiveDensityDisplay, QuantileFanDisplay

__all__ = [
    "ConditionalDisplay",
    "CoverageDisplay",
    "DensityDisplay",
    "MaskDisplay",
    "OutlierReportDisplay",
    "PITDisplay",
    "PairPlotDisplay",
    "PredictiveDensityDisplay",
    "QuantileFanDisplay",
    "SearchHistoryDisplay",
    "ShiftDisplay",
    "TrainingCurveDisplay",
]
