"""Warnings at the user's line."""

import sys
import warnings
from pathlib import Path

import joblib
import sklearn

_PACKAGES = (Path(__file__).parents[1], Path(sklearn.__file__).parent, Path(joblib.__file__).parent)
_INSIDE = tuple(map(str, _PACKAGES))


def warn(message, category=UserWarning):
    """Warn at the user's line, also where scikit-learn's pipelines and searches lie between."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
