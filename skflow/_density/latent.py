"""From rows to the latent space, where the flow's density is the standard normal, and back."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._core.checks import FLOATS, checked_points
from .._core.runtime import sheltered
from .._core.typing import ArrayLike
from .._nn.blocks import answer_in_parts
from .answers import FittedDensity


class LatentSpace(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FittedDensity):
    """What a fitted density of a single flow answers as a transformer."""

    @property
    def _n_features_out(self):
        return len(self._density.columns.scale)

    @sheltered
    def transform(self, X: ArrayLike) -> np.ndarray:
        """Map rows to the latent space, where the flow's density is the standard normal.

        On a table of few rows, where the members of a cross-fit are averaged, it is that of the
        first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A row with missing cells, which are NaN, has no point of its own there.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            NaN for rows with missing cells; fill these before (``FlowImputer``).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with the columns of ``fit``, or if there are
            several members, each with a latent space of its own.
        """
        X = self._checked(X, allow_nan=True, dtype=FLOATS)
        self._check_single("transform")

        def latent(X):
            missing = np.isnan(X).any(axis=1)
            Z = self._density.to_latent(np.where(missing[:, None], 0.0, X))
            Z[missing] = np.nan
            return Z

        return answer_in_parts(latent, self._parts(X), X, shape=(self._n_features_out,))

    @sheltered
    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Map points of the latent space to the data's.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points of the latent space.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            In the data's own units.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is no table of finite numbers with as many columns as ``fit`` had, or if there are
            several members, each with a latent space of its own.
        """
        check_is_fitted(self)
        if len(self._density.schema.sizes):
            raise ValueError(
                "inverse_transform needs a table whose columns are all real: points of the latent "
                "space do not say which categories, or which values that many rows share, a row "
                "has. Use sample, or leave such columns out (or set spikes=False)."
            )
        X = checked_points(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but the latent space has {self.n_features_in_}."
            )
        self._check_single("inverse_transform")
        return answer_in_parts(self._density.from_latent, self._parts(X), X, shape=X.shape[1:])

    def _check_single(self, method):
        if self._fitted.n_flows > 1:
            raise ValueError(
                f"{method} needs a single flow, but n_estimators={self.n_estimators} members each "
                "have a latent space of their own. Set n_estimators=1."
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float64 in any case
        return tags
