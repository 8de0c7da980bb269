"""A checksum of plain state, over every bit that is saved."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from numbers import Number
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from scipy.sparse import issparse

# Packages whose objects are reduced. For objects of other packages only the class counts, as their
# reduced form may differ after loading.
_DEEP = {"numpy", "pandas", "sklearn", *sys.stdlib_module_names} - {"__main__"}


def checksum(state: Any) -> str:
    """Return the SHA-256 of a plain state."""
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, value: Any) -> None:
    """Add a value to a digest, so that different kinds of values differ."""

    def add(kind: str, content: bytes) -> None:
        digest.update(f"{kind} {len(content)} ".encode() + content)

    def add_parts(kind: str, parts: Sequence[Any]) -> None:
        add(kind, str(len(parts)).encode())
        for part in parts:
            _feed(digest, part)

    if isinstance(value, dict):
        keys = sorted(value, key=repr)
        add_parts("dict", [part for key in keys for part in (key, value[key])])
    elif isinstance(value, list | tuple):
        add_parts("list", value)
    elif isinstance(value, set | frozenset):
        add_parts("set", sorted(value, key=repr))
    elif isinstance(value, np.ma.MaskedArray):
        add_parts("masked", [value.data, np.ma.getmaskarray(value)])
    elif isinstance(value, np.ndarray) and value.dtype.hasobject:
        add_parts("objects", [list(value.shape), value.ravel().tolist()])
    elif isinstance(value, np.ndarray) and value.dtype.names:
        # field by field, as the padding between fields is not kept
        add_parts("fields", [part for name in value.dtype.names for part in (name, value[name])])
    elif isinstance(value, np.ndarray):
        add("array", f"{value.dtype.str} {value.shape}".encode())
        digest.update(value.tobytes())
    elif isinstance(value, np.generic):
        _feed(digest, value.item())
    elif value is None or isinstance(value, str | bytes | Number):
        add(type(value).__name__, repr(value).encode())
    elif issparse(value):
        parts = value.tocoo()
        add_parts("sparse", [value.format, value.shape, parts.data, *parts.coords])
    elif isinstance(value, np.random.RandomState):
        add_parts("random state", [value.get_state(legacy=False)])
    elif isinstance(value, np.random.Generator):
        add_parts("generator", [value.bit_generator.state])
    elif isinstance(value, type | FunctionType | BuiltinFunctionType):
        add("name", f"{value.__module__}.{value.__qualname__}".encode())
    else:
        add_parts("object", [type(value), _content(value)])


def _content(value: Any) -> Any:
    if type(value).__module__.partition(".")[0] not in _DEEP:
        return None
    try:
        return reduced(value)
    except TypeError:  # saving it will raise
        return None


def reduced(value: Any) -> str | tuple[Any, Any, Any, list[Any], list[Any]]:
    """Return an object reduced to callable, arguments, state, items, pairs; or its name."""
    parts = value.__reduce_ex__(4)
    if isinstance(parts, str):
        return parts
    build, args, state, items, pairs = (*parts, None, None, None)[:5]
    return build, args, state, list(items or ()), list(pairs or ())
