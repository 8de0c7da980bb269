"""Scikit-learn's callbacks (from its version 1.9 on), and what a fit tells them.

A fit is a task, and so is each of its long loops: a member's search, and the training. Each of
their iterations is a task without parts. Older versions of scikit-learn have no callbacks; then
``verbose`` alone shows how far a fit is.
"""

import numpy as np

from .progress import Progress

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""


#: Attributes of an estimator that belong to a running fit or a session, and into no file.
SESSION = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx")


class FitProgress:
    """Tells the callbacks of an estimator, and the screen, of the long loops of a fit.

    Parameters
    ----------
    estimator : estimator
    X : callable
        Returns the rows of the fit, as the estimator's methods take them.
    y : ndarray of shape (n,) or (n, n_targets), optional
        Their targets, if there are any.
    """

    def __init__(self, estimator, X, y=None):
        self.context = self.told = None
        if getattr(estimator, "_skl_callbacks", None):
            X = X()
            # scikit-learn's monitor of scores passes over tasks without y, which a density ignores
            self.told = {"estimator": estimator, "X": X, "y": np.zeros(len(X)) if y is None else y}
            self.context = estimator._init_callback_context(max_subtasks=None)
            self.context.call_on_fit_task_begin(**self.told)

    def __call__(self, description, total):
        """The progress of one loop."""
        context = None
        if self.context is not None:
            context = self.context.subcontext(task_name=description, max_subtasks=total)
            context.call_on_fit_task_begin(**self.told)
        return _LoopProgress(Progress(description, total), self.told, context)

    def close(self):
        """The fit has ended."""
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.told, reconstruction_attributes={})


class _LoopProgress:
    def __init__(self, shown, told, context):
        self.shown, self.told, self.context = shown, told, context

    def update(self, fitted=None, **figures):
        """One step further, with figures to show; True if a callback asks to stop.

        ``fitted`` returns attributes that make the estimator one that was fitted up to here.
        """
        self.shown.update(**figures)
        if self.context is None:
            return False
        step = self.context.subcontext(task_name="iteration")
        step.call_on_fit_task_begin(**self.told)
        return step.call_on_fit_task_end(**self.told, reconstruction_attributes=fitted)

    def close(self):
        """The loop has ended, perhaps before its last step."""
        self.shown.close()
        if self.context is not None:
            self.context.call_on_fit_task_end(**self.told)


def silent(description, total):
    """The progress of a loop that no callback is told of."""
    return _LoopProgress(Progress(description, total), None, None)
