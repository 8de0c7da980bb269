"""What a saved estimator holds: parameters, arrays, numbers, strings and public classes.

An object of a private class is saved as a dictionary under a label, so that no file depends on
where the class lives or what it is called. A number of the format and a checksum go along: another
format, or bytes that are not those that were written, are an error and never other scores.
"""

import hashlib
from collections.abc import Callable
from numbers import Number
from typing import TypeVar

import numpy as np
from sklearn.base import BaseEstimator

from .callbacks import SESSION

#: Raised whenever older versions could not read, or would misread, what is saved.
FORMAT = 2
#: Labels in files, which stay, and the classes of this version that they stand for.
CLASSES: dict[str, type] = {}
_LABELS: dict[type, str] = {}
_LABEL = "__kind__"  # the key of a label
_Class = TypeVar("_Class", bound=type)


def saved_as(label: str) -> Callable[[_Class], _Class]:
    """Decorator of a private class that fitted estimators hold: its label in files."""

    def register(cls):
        if label in CLASSES:
            raise ValueError(f"The label {label!r} is that of {CLASSES[label].__name__}, too.")
        CLASSES[label], _LABELS[cls] = cls, label
        return cls

    return register


class PlainState:
    """Base of estimators whose saved state is plain."""

    def __getstate__(self):
        # callbacks go along to the processes of a grid, but not into the file of a fitted estimator
        left_out = SESSION if hasattr(self, "n_features_in_") else ()
        state = {name: to_plain(v) for name, v in vars(self).items() if name not in left_out}
        return {"_format": FORMAT, "_checksum": checksum(state), **state}

    def __setstate__(self, state):
        state, name = dict(state), type(self).__name__
        saved = state.pop("_format", "none")
        if saved != FORMAT:
            raise ValueError(
                f"This {name} was saved in format {saved}, and this version of skflow reads format "
                f"{FORMAT}. Load it with the version that saved it, or fit it again."
            )
        if state.pop("_checksum", None) != checksum(state):
            raise ValueError(
                f"This {name} is not what was saved: its checksum does not agree, so the file is "
                "damaged or was changed. Take another copy, or fit it again."
            )
        vars(self).update({name: from_plain(value) for name, value in state.items()})


def to_plain(value):
    """The value with dictionaries in place of objects of private classes."""
    if type(value) in _LABELS:
        fields = {name: to_plain(field) for name, field in _fields(value).items()}
        return {_LABEL: _LABELS[type(value)], **fields}
    if type(value) is dict:
        return {key: to_plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(to_plain(item) for item in value)
    if type(value).__module__.startswith("skflow._"):
        raise TypeError(
            f"{type(value).__name__} cannot be saved: its class needs the decorator "
            "@saved_as(label) of skflow._support.saving."
        )
    return value


def _fields(value):
    if "__getstate__" in vars(type(value)):
        return value.__getstate__()
    return value._asdict() if isinstance(value, tuple) else vars(value)


def from_plain(value):
    """The value that ``to_plain`` was given."""
    if type(value) is dict:
        items = {key: from_plain(item) for key, item in value.items()}
        return _build(CLASSES[items.pop(_LABEL)], items) if _LABEL in items else items
    if type(value) in (list, tuple):
        return type(value)(from_plain(item) for item in value)
    return value


def _build(cls, fields):
    if issubclass(cls, tuple):
        return cls(**fields)
    value = cls.__new__(cls)
    if "__setstate__" in vars(cls):
        value.__setstate__(fields)
    else:
        vars(value).update(fields)
    return value


def checksum(state):
    """SHA-256 of all that a plain state holds, to the last bit."""
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _feed(digest, value):
    """Add a value to a digest, in a way that tells values of different kinds apart."""

    def add(kind, content):
        digest.update(f"{kind} {len(content)} ".encode() + content)

    if isinstance(value, dict):
        add("dict", str(len(value)).encode())
        for key in sorted(value, key=repr):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        add("list", str(len(value)).encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        add("array", f"{value.dtype.str} {value.shape}".encode())
        digest.update(value.tobytes())
    elif isinstance(value, np.ndarray):
        _feed(digest, [list(value.shape), value.ravel().tolist()])
    elif isinstance(value, BaseEstimator):
        add("estimator", type(value).__name__.encode())
        _feed(digest, {k: v for k, v in vars(value).items() if k[:1] != "_"})
    elif isinstance(value, np.generic):
        _feed(digest, value.item())
    elif value is None or isinstance(value, str | bytes | Number):
        add(type(value).__name__, repr(value).encode())
    else:  # a function or a random state of the user's: what is in it is theirs
        add("object", type(value).__name__.encode())
