"""The journal of a search: what it has found so far, in a file that outlives its process.

A file of lines, one for each record, written at once and in order: a checksum of the record and the
search it belongs to, then the record in JSON. A process that is killed, or a full disk, may leave
the last line torn. The next one to open the journal marks that line as torn; any other line that
does not have its checksum is damage, which is an error.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from .._nn.mask_arrays import tidy
from .search import SearchRecord

# Part of every name, so that a later version that writes otherwise looks for other files.
_FORMAT = 2
# Ends a line that was not written to its end.
_TORN = b" torn"


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

    def read(self, n_before=0):
        """The records after the first ``n_before``.

        Raises
        ------
        ValueError
            If the file does not hold what was written.
        """
        found = []
        # what follows the last end of a line is torn, or nothing
        lines = self.path.read_bytes().split(b"\n")[:-1]
        for number, line in enumerate(lines, 1):
            if line.endswith(_TORN):
                continue
            record = self._decode(line)
            n_found = n_before + len(found)
            if record is None or record.iteration > n_found:
                raise ValueError(self._damaged(number))
            # what came earlier was written by another process at the same search
            if record.iteration == n_found:
                found.append(record)
        return found

    def append(self, record):
        """Write a record.

        Raises
        ------
        OSError
            If it cannot be written, as on a full disk. What was written before stays readable.
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

    def _encode(self, record):
        entry = record._asdict() | {"masks": record.masks.astype(int).tolist()}
        content = json.dumps(entry).encode()
        return self._checksum(content) + b" " + content + b"\n"

    def _decode(self, line):
        """A record, or None for a line that is not what was written."""
        checksum, _, content = line.partition(b" ")
        if checksum != self._checksum(content):
            return None
        entry = json.loads(content)
        entry["masks"] = tidy(entry["masks"])
        return SearchRecord(**entry)

    def _checksum(self, content):
        # with the name, as the record of another search is no record of this one
        return hashlib.sha256(self.name.encode() + content).hexdigest().encode()

    def _damaged(self, number):
        return (
            f"checkpoint={str(self.folder)!r}: line {number} of {str(self.path)!r} is not what the "
            "search wrote there, so the file is damaged or was changed. Remove the file to search "
            "from the start; or remove this line and all that follow, to go on from the iterations "
            "before."
        )
