"""The saved state of an estimator: parameters, arrays, numbers, strings and public classes.

An object of a private class is saved as a dictionary with a label, so that files do not depend on
the name and the module of the class. The state includes the version of the format and a checksum:
another format, or altered bytes, raise an error and never change scores.

An inner estimator, and an object of scikit-learn in it, is saved as a dictionary of its class and
state, so that the checksum covers the state and is compared before anything is built from it.
(scikit-learn's trees do not check the numbers in a file, and altered ones crash the process.) The
class is saved as an object, an empty instance where possible, and never by its name. So whatever
reads the file, such as skops, sees every class that will be built.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator

from .checksum import checksum, reduced
from .progress import SESSION

#: Increased whenever older versions cannot read, or would misread, a file.
FORMAT = 5
#: Position of the query counts in the state of scikit-learn's neighbour trees.
_COUNTS = 7
#: Labels in files, which never change, and the classes that have them.
CLASSES: dict[str, type] = {}
_LABELS: dict[type, str] = {}
_LABEL = "__kind__"  # key of the label
_OBJECT, _ARRAY = "object", "array of objects"  # labels of other objects
_NEW = copyreg.__newobj__  # type: ignore[attr-defined]
_Class = TypeVar("_Class", bound=type)


def saved_as(label: str) -> Callable[[_Class], _Class]:
    """Decorate a private class that fitted estimators hold with its label in files."""

    def register(cls: _Class) -> _Class:
        if label in CLASSES or label in (_OBJECT, _ARRAY):
            raise ValueError(f"The label {label!r} is taken.")
        CLASSES[label], _LABELS[cls] = cls, label
        return cls

    return register


class PlainState:
    """Base of estimators whose saved state is plain."""

    def __getstate__(self) -> dict[str, Any]:
        state = _Apart().apart(_kept(self))
        return {"_format": FORMAT, "_checksum": checksum(state), **state}

    def __setstate__(self, state: Any) -> None:
        name = type(self).__name__
        state = dict(state) if isinstance(state, dict) else {}
        saved = state.pop("_format", "none")
        if saved != FORMAT:
            raise ValueError(
                f"This {name} was saved in format {saved}, and this version of skflow reads format "
                f"{FORMAT}. Load it with the version that saved it, or fit it again."
            )
        if not _agrees(state.pop("_checksum", None), state):
            raise ValueError(
                f"This {name} is not what was saved: its checksum does not agree, so the file is "
                "damaged or was changed. Take another copy, or fit it again."
            )
        vars(self).update(from_plain(state))


def _agrees(saved: Any, state: Any) -> bool:
    try:
        return saved == checksum(state)
    except RecursionError:  # an altered list that contains itself
        return False


def _kept(estimator: Any) -> dict[str, Any]:
    # callbacks go to the processes of a grid, but not into the file of a fitted estimator
    left_out = SESSION if hasattr(estimator, "n_features_in_") else ()
    return {name: value for name, value in vars(estimator).items() if name not in left_out}


def to_plain(value: Any) -> Any:
    """Return the value with estimators and private objects replaced by dictionaries."""
    return _Apart().apart(value)


def from_plain(value: Any) -> Any:
    """Return the value that ``to_plain`` got."""
    return _Together().together(value)


class _Apart:
    """Takes values apart; an object that occurs twice becomes one shared dictionary."""

    def __init__(self) -> None:
        # by id: the dictionary, and the object, so that its id stays in use
        self.known: dict[int, tuple[Any, Any]] = {}

    def apart(self, value: Any) -> Any:
        if type(value) in _LABELS:
            return {_LABEL: _LABELS[type(value)], **self.apart(_fields(value))}
        if type(value) is dict:
            return {key: self.apart(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.apart(item) for item in value)
        if type(value) is np.ndarray and value.dtype == object:
            items = self.apart(value.ravel().tolist())
            return {_LABEL: _ARRAY, "shape": list(value.shape), "items": items}
        if type(value).__module__.startswith("skflow._"):
            raise TypeError(
                f"{type(value).__name__} cannot be saved: its class needs the decorator "
                "@saved_as(label) of skflow._core.saving."
            )
        return self._object(value) if _is_rebuilt(type(value)) else value

    def _object(self, value: Any) -> Any:
        if id(value) not in self.known:
            self.known[id(value)] = None, value
            self.known[id(value)] = self._class_and_state(value), value
        plain, _ = self.known[id(value)]
        if plain is None:
            raise TypeError(f"{type(value).__name__} cannot be saved, as it holds itself.")
        return plain

    def _class_and_state(self, value: Any) -> Any:
        """Return a dictionary, or the value itself if it is empty or has no class to build it."""
        build, args, state, items, pairs = _reduced(value)
        # scikit-learn's compiled trees have their own `__new__` with this name
        new = build is _NEW or getattr(build, "__name__", "") == "newObj"
        cls, *args = args if new else (build, *args)
        if not isinstance(cls, type) or not (args or state or items or pairs):
            return value
        empty = build is _NEW and not args
        parts = {"args": args, "state": state, "items": items, "pairs": pairs}
        return {
            _LABEL: _OBJECT,
            "class": build(cls) if empty else cls,
            "new": new,
            **self.apart(parts),
        }


class _Together:
    """Rebuilds values; a shared dictionary becomes a shared object."""

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}

    def together(self, value: Any) -> Any:
        if type(value) is dict and value.get(_LABEL) == _OBJECT:
            if id(value) not in self.known:
                self.known[id(value)] = self._object(value)
            return self.known[id(value)]
        if type(value) is dict:
            items = {key: self.together(item) for key, item in value.items()}
            return _build(items.pop(_LABEL), items) if _LABEL in items else items
        if type(value) in (list, tuple):
            return type(value)(self.together(item) for item in value)
        return value

    def _object(self, plain: dict[str, Any]) -> Any:
        cls = plain["class"]
        cls = cls if isinstance(cls, type) else type(cls)
        if not _is_rebuilt(cls):
            raise ValueError(
                f"The file wants a {cls.__module__}.{cls.__name__}, but only estimators and "
                "objects of scikit-learn are built. Use a file that skflow wrote."
            )
        args, state, items, pairs = (
            self.together(plain[name]) for name in ("args", "state", "items", "pairs")
        )
        value = cls.__new__(cls, *args) if plain["new"] else cls(*args)
        _set_state(value, state)
        for item in items:
            value.append(item)
        for key, item in pairs:
            value[key] = item
        return value


def _is_rebuilt(cls: type) -> bool:
    return issubclass(cls, BaseEstimator) or cls.__module__.partition(".")[0] == "sklearn"


def _reduced(value: Any) -> tuple[Any, Any, Any, list[Any], list[Any]]:
    """Return what builds the value: callable, arguments, state, list items, dict items."""
    if isinstance(value, PlainState):
        return _NEW, (type(value),), _kept(value), [], []
    parts = reduced(value)
    if isinstance(parts, str):  # the name of a singleton
        return None, (), None, [], []
    build, args, state, items, pairs = parts
    if hasattr(value, "get_tree_stats"):  # leave out a tree's query counts
        counts = value.get_tree_stats()
        places = slice(_COUNTS, _COUNTS + len(counts) + 1)
        state = (*state[:_COUNTS], *(0 for _ in state[places]), *state[places.stop :])
    return build, args, state, items, pairs


def _set_state(value: Any, state: Any) -> None:
    if state is None:
        return
    if hasattr(value, "__setstate__") and not isinstance(value, PlainState):
        value.__setstate__(state)
        return
    fields, slots = state if isinstance(state, tuple) else (state, None)
    vars(value).update(fields or {})
    for name, field in (slots or {}).items():
        setattr(value, name, field)


def _fields(value: Any) -> dict[str, Any]:
    if "__getstate__" in vars(type(value)):
        return value.__getstate__()
    return value._asdict() if hasattr(value, "_asdict") else vars(value)


def _build(label: str, fields: dict[str, Any]) -> Any:
    if label == _ARRAY:
        array = np.empty(len(fields["items"]), dtype=object)
        for place, item in enumerate(fields["items"]):  # numpy would convert lists
            array[place] = item
        return array.reshape(fields["shape"])
    cls = CLASSES[label]
    if issubclass(cls, tuple):
        return cls(**fields)
    value: Any = cls.__new__(cls)
    if "__setstate__" in vars(cls):
        value.__setstate__(fields)
    else:
        vars(value).update(fields)
    return value
