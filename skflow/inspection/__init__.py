"""Pictures of fitted flows: displays in scikit-learn's manner.

A display stores arrays and draws them. ``from_estimator`` computes the arrays and draws at once;
``plot`` draws again, into other axes if they are given. ``ax_`` (``axes_`` for several) and
``figure_`` are matplotlib's objects, for changes that the display has no argument for. matplotlib
is imported when something is drawn, and comes with the extra ``plot``.

Colours are from the set of Okabe and Ito (2008), which people with any colour vision can tell
apart.
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
