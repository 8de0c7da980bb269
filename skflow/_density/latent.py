"""From rows to the latent space, where the flow's density is the standard normal, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from .._core.checks import FLOATS, check_finite
from .._core.runtime import sheltered
from .._core.typing import ArrayLike
from .._nn.blocks import answer_in_parts
from .answers import FittedDensity

if TYPE_CHECKING:
    from sklearn.utils import Tags


class LatentSpace(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FittedDensity):
    """Transformer methods of a fitted density with a single flow."""

    @property
    def _n_features_out(self) -> int:
        return len(self._density.columns.scale)

    @sheltered
    def transform(self, X: ArrayLike) -> np.ndarray:
        """Map rows to the latent space, where the flow's density is the standard normal.

        If several members of a cross-fit are averaged, as on few rows, it is the latent space of
        the first member.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; missing cells are NaN.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            NaN for rows with missing cells; fill these first (``FlowImputer``).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not a table of numbers, finite or NaN, with the columns of ``fit``, or if
            ``n_estimators`` is greater than 1, as each flow has a separate latent space.
        """
        X = self._checked(X, allow_nan=True, dtype=FLOATS)
        self._check_single("transform")

        def latent(X: np.ndarray) -> np.ndarray:
            missing = np.isnan(X).any(axis=1)
            Z = self._density.to_latent(np.where(missing[:, None], 0.0, X))
            Z[missing] = np.nan
            return Z

        return answer_in_parts(latent, self._parts(X), X, shape=(self._n_features_out,))

    @sheltered
    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Map points of the latent space back to the data's space.

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
            If X is not a table of finite numbers with as many columns as in ``fit``, or if
            ``n_estimators`` is greater than 1, as each flow has a separate latent space.
        """
        check_is_fitted(self)
        if len(self._density.schema.sizes):
            raise ValueError(
                "inverse_transform needs a table whose columns are all real: points of the latent "
                "space do not determine categories, or values that many rows share. Use sample, or "
                "leave such columns out (or set spikes=False)."
            )
        X = check_array(X, dtype=FLOATS, ensure_all_finite=False, input_name="X")
        check_finite(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but the latent space has {self.n_features_in_}."
            )
        self._check_single("inverse_transform")
        return answer_in_parts(self._density.from_latent, self._parts(X), X, shape=X.shape[1:])

    def _check_single(self, method: str) -> None:
        if self._fitted.n_flows > 1:
            raise ValueError(
                f"{method} needs a single flow, but each of the n_estimators={self.n_estimators} "
                "flows has a separate latent space. Set n_estimators=1."
            )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float64 in any case
        return tags
