"""A fitted density of a table, in the data's units.

    p(row) = P(discrete part) p(real part | discrete part, features)

The real part has a mixture in standardised units; standardisation is a first, fixed layer. The
discrete part may be empty. Only the targets of a regression have features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.checks import warn
from .._core.saving import saved_as
from .._nn.blocks import over_rows
from .._table.columns import FARTHEST, Columns
from .._table.schema import Schema
from .chain import Chain
from .mixture import N_PLACES, Context, Mixture
from .stacking import floors

if TYPE_CHECKING:
    from .flow import FlowModel

#: Drawing stops if fewer than one in so many rows lies within the ranges of the columns.
MOST_DRAWS = 100


@saved_as("density")
@dataclass(eq=False)
class Density:
    """The density of the rows of a table.

    Attributes
    ----------
    schema : Schema
        Splits rows into a discrete and a real part.
    columns : Columns
        Converts the real part between the data's units and standardised units.
    discrete : Chain
        The density of the discrete part.
    mixture : Mixture
        The density of the real part given the discrete part, in standardised units.
    """

    schema: Schema
    columns: Columns
    discrete: Chain
    mixture: Mixture

    @property
    def flow(self) -> FlowModel:
        """The flow among the models of the mixture."""
        return self.mixture.models["flow"]

    def context(self, discrete: np.ndarray) -> Context | None:
        """Return the ``Context`` of the real part from the discrete part, None if it is empty."""
        return Context.of(self.schema, discrete)

    def log_prob(
        self, X: np.ndarray, features: Context | None = None, n_places: int = N_PLACES
    ) -> np.ndarray:
        """Return log-densities ``(n,)`` in nats, minus infinity outside the bounds.

        ``features`` is the ``Context`` of the targets of a regression. ``n_places`` is the number
        of noise values for each absent number.
        """

        def call(block: slice) -> np.ndarray:
            discrete, real = self.schema.split(X[block])
            U, log_det = self.columns.forward(real)
            context = self.context(discrete) if features is None else features[block]
            log_prob = self.mixture.log_prob(U, context, n_places) + log_det
            return log_prob + self.discrete.log_prob(discrete)

        return over_rows(call, len(X), self.mixture.numbers_per_row)

    def sample(
        self, n_samples: int, rng: np.random.RandomState, features: Context | None = None
    ) -> np.ndarray:
        """Draw rows ``(n_samples, d)`` in the data's units, with codes for categories."""
        discrete = self.discrete.sample(n_samples, rng)
        context = self.context(discrete) if features is None else features
        return self.to_data(self.mixture.sample(n_samples, rng, context), discrete)

    def sample_typical(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw rows ``(n_samples, d)`` without far tails, within the ranges of the columns.

        The density keeps some weight for rows unlike all rows of fit, so that their scores are
        sane. Such rows are not wanted among synthetic rows.
        """
        trimmed, columns, schema = self.without_least_weights(), self.columns, self.schema
        kept, n_kept, n_drawn = [], 0, 0
        while n_kept < n_samples:
            if n_drawn >= max(n_samples, MOST_DRAWS) and n_kept * MOST_DRAWS < n_drawn:
                break
            accepted = (n_kept + 1) / (n_drawn + 1)
            size = min((n_samples - n_kept) / accepted, 2 * n_samples)
            rows = trimmed.sample(int(np.ceil(size)), rng)
            kept.append(rows[columns.in_range(schema.split(rows)[1])])
            n_kept, n_drawn = n_kept + len(kept[-1]), n_drawn + len(rows)
        n_missing = n_samples - n_kept
        if n_missing > 0:
            warn(
                f"Only {n_kept} of {n_drawn} drawn rows lie within the ranges of the columns in "
                f"fit. In {n_missing} of {n_samples} rows, values are clipped to these ranges. The "
                "density is far wider than the data: train longer, or use sample(..., tails=True)."
            )
            discrete, real = schema.split(trimmed.sample(n_missing, rng))
            kept.append(schema.join(discrete, columns.to_range(real)))
        return np.concatenate(kept)[:n_samples]

    def without_least_weights(self) -> Density:
        """Return the density without the least weight of each heavy-tailed component."""
        models = self.mixture.models
        weights = self.mixture.weights - floors(models, len(self.columns.scale))
        weights = np.maximum(weights, 0.0)
        return replace(self, mixture=Mixture(models, weights / weights.sum()))

    def to_data(self, U: np.ndarray, discrete: np.ndarray) -> np.ndarray:
        """Return rows in the data's units, on their grids, from standardised real parts."""
        return self.schema.join(discrete, self.columns.draws(U))

    def to_latent(self, X: np.ndarray) -> np.ndarray:
        """Return latent points ``(n, r)`` of the real part under member 0; 0 where absent."""
        member = self.flow.take(0)

        def call(block: slice) -> np.ndarray:
            discrete, real = self.schema.split(X[block])
            U, _ = self.columns.forward(real)
            Z = member.to_latent(np.nan_to_num(U), self.context(discrete))[0]
            return np.nan_to_num(Z)

        return over_rows(call, len(X), self.mixture.numbers_per_row)

    def from_latent(self, Z: np.ndarray) -> np.ndarray:
        """Return rows ``(n, d)`` from latent points, for a table without a discrete part."""
        Z = np.clip(Z, -FARTHEST, FARTHEST)
        return self.columns.inverse(self.flow.take(0).from_latent(Z)[0])
