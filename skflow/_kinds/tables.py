"""What estimators share that read tables with categories."""

from .categories import Categories


class TableMixin:
    """Turns tables with categories into tables of numbers, and back; others stay as they are.

    ``fit`` of a subclass sets ``_categories``, which ``find_categories`` finds.
    """

    _categories: Categories | None = None
    handle_unknown = "rare"  # of those without such a parameter

    def _encoded(self, X):
        """The table with codes for categories."""
        return X if self._categories is None else self._categories.encode(X, self.handle_unknown)

    def _written(self, X):
        """The table of an array of codes."""
        return X if self._categories is None else self._categories.decode(X)
