"""The summary of a fitted estimator, in words and in a notebook below its diagram."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from sklearn.utils.validation import check_is_fitted


class ShowsSummary:
    """Base of the estimators: their ``summary``.

    ``_summary_lines()`` of a subclass returns a dictionary from titles to text; empty texts are
    left out.
    """

    n_features_in_: int

    def summary(self) -> str:
        """Description of the fit in words, to be printed.

        The rows and columns of the fit and its time; then, line by line, what was fitted, and how
        good it is where rows were held out. At the end, what to try next.

        Returns
        -------
        summary : str

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self)
        lines = [f"{name:12}{text}" for name, text in self._summary_lines().items() if text]
        return "\n".join([f"{type(self).__name__}, fitted to {self._fitted_to()}", *lines])

    def _fitted_to(self) -> str:
        seconds = vars(self).get("_seconds")  # absent if another estimator has fitted it
        n_rows: int = self._n_rows  # type: ignore[attr-defined]
        text = f"{n_rows:,} rows of {self.n_features_in_} columns"
        return text if seconds is None else f"{text} in {seconds:.1f} seconds"

    def _summary_lines(self) -> dict[str, str]:
        raise NotImplementedError

    # ---- in a notebook; the version of scikit-learn decides which one is called

    def _repr_html_inner(self) -> str:
        return super()._repr_html_inner() + self._summary_html()  # type: ignore[misc]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += self._summary_html()
        return bundle

    def _summary_html(self) -> str:
        return f"<pre>{escape(self.summary())}</pre>" if hasattr(self, "n_features_in_") else ""


def counted(kinds: Iterable[str]) -> str:
    """Return how many columns are of each kind, in words."""
    first_words = [kind.split(" (")[0] for kind in kinds]
    order = ["real", "bounded", "on a grid", "constant"]
    order += [kind for kind in dict.fromkeys(first_words) if kind not in order]
    counts = {kind: first_words.count(kind) for kind in order}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def by_weight(names: Iterable[str], weights: Iterable[float]) -> str:
    """Return names and weights, the largest first."""
    ordered = sorted(zip(names, weights), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {weight:.3f}" for name, weight in ordered)
