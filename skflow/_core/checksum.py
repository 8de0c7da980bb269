"""A checksum of plain state: every value that is saved goes into it, to the last bit."""

import hashlib
import sys
from numbers import Number
from types import BuiltinFunctionType, FunctionType

import numpy as np
from scipy.sparse import issparse

# Packages whose objects are taken apart by their own rules. Of an object of any other package only
# the class counts: what it gives after loading need not be what it gave before.
_DEEP = {"numpy", "pandas", "sklearn", *sys.stdlib_module_names} - {"__main__"}


def checksum(state):
    """SHA-256 of all that a plain state holds."""
    digest = hashlib.sha256()
    _feed(digest, state)
    return digest.hexdigest()


def _feed(digest, value):
    """Add a value to a digest, in a way that tells values of different kinds apart."""

    def add(kind, content):
        digest.update(f"{kind} {len(content)} ".encode() + content)

    def add_parts(kind, parts):
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
        # one by one: between fields there may be bytes that mean nothing, and are not kept
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


def _content(value):
    if type(value).__module__.partition(".")[0] not in _DEEP:
        return None
    try:
        return reduced(value)
    except TypeError:  # cannot be saved: whoever tries will say so
        return None


def reduced(value):
    """What builds an object, its arguments, state, items and pairs; a name if it is there once."""
    parts = value.__reduce_ex__(4)
    if isinstance(parts, str):
        return parts
    build, args, state, items, pairs = (*parts, None, None, None)[:5]
    return build, args, state, list(items or ()), list(pairs or ())
