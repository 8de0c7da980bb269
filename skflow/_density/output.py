"""Rows that come out of an estimator, in the container that the configuration asks for."""

from sklearn.utils._set_output import ADAPTERS_MANAGER, _get_output_config


def in_configured_container(estimator, X):
    """Rows ``(n, d)`` as an array or, of an estimator that was fitted with names, a data frame.

    ``set_config(transform_output=...)`` and the estimator's own ``set_output`` decide, as they do
    for ``transform``.
    """
    container = _get_output_config("transform", estimator)["dense"]
    names = getattr(estimator, "feature_names_in_", None)
    if container == "default" or names is None:
        return X
    return ADAPTERS_MANAGER.adapters[container].create_container(X, X, columns=names)
