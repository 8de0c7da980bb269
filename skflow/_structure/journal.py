"""The journal of a search: its records, in a file that outlives the process.

Each record is a line, written at once: a checksum of the record and the name of the search, then
the record in JSON. A killed process, or a full disk, may leave the last line incomplete. The next
process that opens the journal marks this line as torn. Any other line with a wrong checksum is an
error.
"""

from __future__ import annotations

import hashlib
import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .._nn.mask_arrays import tidy
from .search import SearchRecord

# Part of every name, so that versions with another format use other files.
_FORMAT = 2
# Marks an incomplete line.
_TORN = b" torn"


def fingerprint(*parts: Any) -> str:
    """Return a hash, 24 hexadecimal digits, of arrays and of objects by their ``repr``."""
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
        Created if it does not exist.
    name : str
        Name of the search.

    Raises
    ------
    ValueError
        If the folder cannot be used.
    """

    def __init__(self, folder: str | PathLike, name: str) -> None:
        self.folder = folder
        self.name = fingerprint(_FORMAT, name)
        self.path = Path(folder) / f"search-{self.name}.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if file.tell() > 0 and self.path.read_bytes()[-1:] != b"\n":
                    file.write(_TORN + b"\n")
        except OSError as error:
            raise ValueError(
                f"checkpoint={str(folder)!r} cannot be used: {error.strerror}. Give a folder in "
                "which files can be written."
            ) from None

    def read(self, n_before: int = 0) -> list[SearchRecord]:
        """Return the records after the first ``n_before``.

        Raises
        ------
        ValueError
            If the file was changed.
        """
        found: list[SearchRecord] = []
        # text after the last line end is torn
        lines = self.path.read_bytes().split(b"\n")[:-1]
        for number, line in enumerate(lines, 1):
            if line.endswith(_TORN):
                continue
            record = self._decode(line)
            n_found = n_before + len(found)
            if record is None or record.iteration > n_found:
                raise ValueError(self._damaged(number))
            # earlier records were written by another process with the same search
            if record.iteration == n_found:
                found.append(record)
        return found

    def append(self, record: SearchRecord) -> None:
        """Write a record.

        Raises
        ------
        OSError
            If it cannot be written, as on a full disk. Earlier records stay readable.
        """
        try:
            with self.path.open("ab") as file:
                file.write(self._encode(record))
        except OSError as error:
            raise OSError(
                error.errno,
                f"checkpoint={str(self.folder)!r}: iteration {record.iteration} of the search "
                f"could not be written to {str(self.path)!r} ({error.strerror}). Make room there, "
                "and call fit again with the same arguments: the search goes on from the "
                "iterations that are in the file.",
            ) from error

    def _encode(self, record: SearchRecord) -> bytes:
        entry = record._asdict() | {"masks": record.masks.astype(int).tolist()}
        content = json.dumps(entry).encode()
        return self._checksum(content) + b" " + content + b"\n"

    def _decode(self, line: bytes) -> SearchRecord | None:
        """Return the record of a line, or None if the line was changed."""
        checksum, _, content = line.partition(b" ")
        if checksum != self._checksum(content):
            return None
        entry = json.loads(content)
        entry["masks"] = tidy(entry["masks"])
        return SearchRecord(**entry)

    def _checksum(self, content: bytes) -> bytes:
        # the name is included, so that records of other searches are not accepted
        return hashlib.sha256(self.name.encode() + content).hexdigest().encode()

    def _damaged(self, number: int) -> str:
        return (
            f"checkpoint={str(self.folder)!r}: line {number} of {str(self.path)!r} is not what the "
            "search wrote there, so the file is damaged or was changed. Remove the file to search "
            "from the start; or remove this line and all that follow, to go on from the iterations "
            "before."
        )
