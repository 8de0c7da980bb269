"""The journal of a search: what it has found so far, in a file that outlives its process.

A file of JSON lines, one for each record, written at once and in order. A process that is killed
may leave its last line torn: whoever reads passes over what is no record or comes out of turn.
"""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np

from .._flows.mask_arrays import tidy
from .search import SearchRecord

# Part of every name, so that a later version that writes otherwise looks for other files.
_FORMAT = 1


def fingerprint(*parts):
    """A name, 24 hexadecimal digits, for arrays and things whose ``repr`` says all of them."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\n")
    return digest.hexdigest()[:24]


class SearchJournal:
    """Records of one search, in a file of its own.

    Parameters
    ----------
    folder : str or path
        Is made if it does not exist.
    name : str
        Tells searches apart.

    Raises
    ------
    ValueError
        If the folder cannot be used.
    """

    def __init__(self, folder, name):
        self.path = Path(folder) / f"search-{fingerprint(_FORMAT, name)}.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                torn = file.tell() > 0 and self.path.read_bytes()[-1:] != b"\n"
                file.write(b"\n" if torn else b"")
        except OSError as error:
            raise ValueError(
                f"checkpoint={str(folder)!r} cannot be used: {error.strerror}. Give a folder in "
                "which files can be written."
            ) from None

    def read(self, n_before=0):
        """The records after the first ``n_before``, each with the evaluator's state or None."""
        found = []
        with self.path.open("rb") as file:
            for line in file:
                entry = _decode(line)
                if entry is not None and entry[0].iteration == n_before + len(found):
                    found.append(entry)
        return found

    def append(self, record, state=None):
        """Write a record, and the state of the evaluator where it is a new one."""
        with self.path.open("ab", buffering=0) as file:
            file.write(_encode(record, state))


def _encode(record, state):
    entry = record._asdict() | {"masks": record.masks.astype(int).tolist()}
    if state is not None:
        entry["state"] = {name: _encode_array(array) for name, array in state.items()}
    return (json.dumps(entry) + "\n").encode()


def _decode(line):
    """A record and a state, or None for a line that was torn."""
    try:
        entry = json.loads(line)
        state = entry.pop("state", None)
        if state is not None:
            state = {name: _decode_array(*packed) for name, packed in state.items()}
        entry["masks"] = tidy(entry["masks"])
        return SearchRecord(**entry), state
    except (ValueError, TypeError, AttributeError, KeyError):
        return None


def _encode_array(array):
    return array.dtype.str, array.shape, base64.b64encode(array.tobytes()).decode()


def _decode_array(dtype, shape, content):
    return np.frombuffer(base64.b64decode(content), dtype).reshape(shape).copy()
