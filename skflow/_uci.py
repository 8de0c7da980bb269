"""The sources of the paper's tables: prepared files, or UCI's archives converted into the same.

A checksum is compared either way, so that all figures are on the same rows.
"""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_file

#: Returns the lines of a file of an archive, given its name.
Lines = Callable[[str], list[str]]
_UCI = "https://archive.ics.uci.edu/static/public"
#: Which rows of UCI's magic04.data are the prepared table's test rows: the steps between them, as
#: compressed bytes. (The prepared table came shuffled in an unknown way.)
_MAGIC_TEST_ROWS = Path(__file__).with_name("magic_test_rows.bin")
_N_TURBINE_TRAIN = 22191  # the rows of 2011, 2012 and 2013
#: What a changed archive raises: a RuntimeError if a member is encrypted or the version of zip is
#: unknown (NotImplementedError is a RuntimeError).
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError),
    *(KeyError, IndexError, ValueError),
)


def load(path: Path, table: Table, download_if_missing: bool) -> str:
    """Return the text of a table: read from ``path``, or downloaded and kept there."""
    if path.exists():
        return _read(path, table)
    if not download_if_missing:
        raise OSError(_missing(path, table, "download_if_missing=False forbids to download it"))
    url = f"{_UCI}/{table.archive}"
    with tempfile.TemporaryDirectory() as folder:
        with _told(path, table, f"it could not be downloaded from {url}", HTTPException):
            archive = fetch_file(url, folder=folder, local_filename="archive.zip")
        with _told(path, table, f"{url} has changed since this was written", *_UNREADABLE):
            text = _converted(archive, table)
    with _told(path, table, "it could not be saved there"):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Write to another name first, so that nobody reads half a file.
        part = path.with_name(f"{path.name}.part{os.getpid()}")
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
        part.replace(path)
    return text


@contextmanager
def _told(path: Path, table: Table, reason: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn errors of the system, and the named ones, into one that says what to do."""
    expected: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except expected as error:
        reason = f"{reason} ({type(error).__name__}: {error})"
        raise OSError(_missing(path, table, reason)) from error


def _missing(path: Path, table: Table, reason: str) -> str:
    return (
        f"{path.name} is not in the directory {str(path.parent)!r}, and {reason}. Put the prepared "
        f"{path.name} (whose text has the SHA-256 {table.checksums[0]}) there, or the one that the "
        "same function saved on another machine; or name the directory that has it by the argument "
        "data_home or the environment variable SKFLOW_DATA."
    )


def _read(path: Path, table: Table) -> str:
    """Return the text of a file if its checksum is right."""
    try:
        with gzip.open(path) as file:
            text = file.read(_at_most(table) + 1).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        text = ""
    if _checksum(text) in table.checksums:
        return text
    raise OSError(
        f"{str(path)!r} is damaged or another file: the SHA-256 of its decompressed text is not "
        f"{table.checksums[0]}. Replace it by the prepared {path.name}, or remove it and call "
        "again with download_if_missing=True."
    )


def _checksum(text: str) -> str:
    """Return the SHA-256 of the text, as compressed files differ between machines."""
    return sha256(text.encode()).hexdigest()


def _at_most(table: Table) -> int:
    """Return the most bytes that a table can have, so that a forged file cannot fill the memory."""
    longest = 25  # -1.7976931348623157e+308 and a comma
    return (table.n_rows + 1) * (len(table.features) + 2) * longest


def _converted(archive: str, table: Table) -> str:
    """Return the text of the prepared table, given UCI's archive."""
    with zipfile.ZipFile(archive) as opened:

        def lines(name: str) -> list[str]:
            with opened.open(name) as file:
                content = file.read(_at_most(table) + 1).decode()
            return [line for line in content.splitlines() if line.strip()]

        rows = table.read_rows(lines)
    n = len(table.features) + (table.class_type is None)
    parts = [[*table.features, table.last]]
    parts += [[*(repr(float(value)) for value in row[:n]), *row[n:]] for row in rows]
    text = "".join(",".join(part) + "\n" for part in parts)
    if _checksum(text) not in table.checksums:
        raise ValueError(f"{len(rows)} rows, {table.n_rows} expected, of another SHA-256")
    return text


# ---- the rows of an archive: lists of strings, from a function that returns a file's lines


def _magic_rows(lines: Lines) -> list[list[str]]:
    rows = [line.split(",") for line in lines("magic04.data")]
    steps = np.frombuffer(zlib.decompress(_MAGIC_TEST_ROWS.read_bytes()), dtype=np.uint8)
    is_test = np.isin(np.arange(len(rows)), np.cumsum(steps))
    split = _random_split(len(rows))
    order = np.empty(len(rows), dtype=int)
    order[np.r_[split["test_indices"], split["train_indices"]]] = np.argsort(
        ~is_test, kind="stable"
    )
    return [rows[i] for i in order]


def _turbine_rows(lines: Lines) -> list[list[str]]:
    years = [lines(f"gt_{year}.csv")[1:] for year in range(2011, 2016)]
    return [line.split(",") for year in years for line in year]


def _sonar_rows(lines: Lines) -> list[list[str]]:
    rows = [line.split(",") for line in lines("sonar.all-data")]
    return [[*row[:-1], {"R": "1", "M": "-1"}[row[-1]]] for row in rows]


def _yeast_rows(lines: Lines) -> list[list[str]]:
    return [line.split()[1:] for line in lines("yeast.data")]  # without the name


# ---- which rows are for the test


def _random_split(n_rows: int) -> dict[str, np.ndarray]:
    order = np.random.RandomState(0).permutation(n_rows)
    return {"train_indices": order[n_rows // 10 :], "test_indices": order[: n_rows // 10]}


def _turbine_split(n_rows: int) -> dict[str, np.ndarray]:
    order = np.random.RandomState(1).permutation(_N_TURBINE_TRAIN)
    return {
        "train_indices": np.arange(_N_TURBINE_TRAIN),
        "test_indices": np.arange(_N_TURBINE_TRAIN, n_rows),
        "fit_indices": order[_N_TURBINE_TRAIN // 10 :],
        "heldout_indices": order[: _N_TURBINE_TRAIN // 10],
    }


@dataclass(frozen=True)
class Table:
    """What is known of one data set."""

    n_rows: int
    features: list[str]  # the names of the columns of `data`
    batch_size: int
    archive: str  # below _UCI
    read_rows: Callable[[Lines], list[list[str]]]
    #: SHA-256 of the prepared text, and of a download's if that is another.
    checksums: tuple[str, ...]
    last: str = "class"  # the column after the features
    class_type: type | None = str  # None if the last column is not a class
    split: Callable[[int], dict[str, np.ndarray]] = _random_split  # given the number of rows


TABLES = {
    "magic": Table(
        n_rows=19020,
        features="fLength fWidth fSize fConc fConc1 fAsym fM3Long fM3Trans fAlpha fDist".split(),
        batch_size=380,
        archive="159/magic+gamma+telescope.zip",
        read_rows=_magic_rows,
        checksums=(
            "4b6c14ee07a652ea3c1943f1439914bf3e8ac1d13f047cf84e2a111e05847eda",
            "6070d4bb98f6afcb618433f8e725021bcc22324e8f8ecd5d6c410d60bb854175",
        ),
    ),
    "turbine": Table(
        n_rows=36733,
        features="AT AP AH AFDP GTEP TIT TAT TEY CDP CO".split(),
        batch_size=443,
        archive="551/gas+turbine+co+and+nox+emission+data+set.zip",
        read_rows=_turbine_rows,
        checksums=("f19d339224fc6a754d147bdc5050e12897f43c695eda319b5579c4a3bfeccf0a",),
        last="NOX",
        class_type=None,
        split=_turbine_split,
    ),
    "sonar": Table(
        n_rows=208,
        features=[f"band_{i:02}" for i in range(1, 61)],
        batch_size=16,
        archive="151/connectionist+bench+sonar+mines+vs+rocks.zip",
        read_rows=_sonar_rows,
        checksums=("79084a6863ba2e45e7548424240e25c1f04e18154444618551161b3e3ede5fab",),
        class_type=int,
    ),
    "yeast": Table(
        n_rows=1484,
        features="mcg gvh alm mit erl pox vac nuc".split(),
        batch_size=29,
        archive="110/yeast.zip",
        read_rows=_yeast_rows,
        checksums=("1606fb1af50a1193b660e2c1e1d540322539ba9b53428b4c7b86c9e564215d10",),
    ),
}
