"""Where the paper's tables come from: prepared files, or UCI's archives made into the same.

Either way a checksum is compared, so that all figures are on the same rows.
"""

import gzip
import os
import struct
import tempfile
import zipfile
import zlib
from base64 import b85decode
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPException

import numpy as np
from sklearn.datasets import fetch_file

_UCI = "https://archive.ics.uci.edu/static/public"
_N_TURBINE_TRAIN = 22191  # the rows of 2011, 2012 and 2013
#: What an archive raises that is not as it was: an encrypted member is a RuntimeError, and an
#: unknown version of zip a NotImplementedError, which is one.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError),
    *(KeyError, IndexError, ValueError),
)


def load(path, table, download_if_missing):
    """The text of a table: read from ``path``, or else downloaded and kept there."""
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
        # Under another name at first, so that nobody ever reads half a file.
        part = path.with_name(f"{path.name}.part{os.getpid()}")
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
        part.replace(path)
    return text


@contextmanager
def _told(path, table, reason, *errors):
    """Errors of the system, and others that are named, become one that says what to do."""
    try:
        yield
    except (OSError, *errors) as error:
        reason = f"{reason} ({type(error).__name__}: {error})"
        raise OSError(_missing(path, table, reason)) from error


def _missing(path, table, reason):
    return (
        f"{path.name} is not in the directory {str(path.parent)!r}, and {reason}. Put the prepared "
        f"{path.name} (whose text has the SHA-256 {table.checksums[0]}) there, or the one that the "
        "same function saved on another machine; or name the directory that has it by the argument "
        "data_home or the environment variable SKFLOW_DATA."
    )


def _read(path, table):
    """The text of a prepared or formerly downloaded table if its checksum is right."""
    try:
        with gzip.open(path) as file:
            text = file.read(_at_most(table) + 1).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        text = ""
    if _checksum(text) in table.checksums:
        return text
    raise OSError(
        f"{str(path)!r} is damaged or another file: its text, decompressed, has not the SHA-256 "
        f"{table.checksums[0]}. Replace it by the prepared {path.name}, or remove it and call "
        "again with download_if_missing=True."
    )


def _checksum(text):
    """Of the text and not of the file: compressors differ between machines."""
    return sha256(text.encode()).hexdigest()


def _at_most(table):
    """How many bytes a table can have.

    No more is decompressed, as a few bytes can be made that become more than the memory.
    """
    longest = 25  # -1.7976931348623157e+308 and a comma
    return (table.n_rows + 1) * (len(table.features) + 2) * longest


def _converted(archive, table):
    """The text of the prepared table, made of the rows of UCI's archive."""
    with zipfile.ZipFile(archive) as opened:

        def lines(name):
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


def _magic_rows(lines):
    rows = [line.split(",") for line in lines("magic04.data")]
    steps = np.frombuffer(zlib.decompress(b85decode(_MAGIC_TEST_ROWS)), dtype=np.uint8)
    is_test = np.isin(np.arange(len(rows)), np.cumsum(steps))
    split = _random_split(len(rows))
    order = np.empty(len(rows), dtype=int)
    order[np.r_[split["test_indices"], split["train_indices"]]] = np.argsort(
        ~is_test, kind="stable"
    )
    return [rows[i] for i in order]


def _turbine_rows(lines):
    years = [lines(f"gt_{year}.csv")[1:] for year in range(2011, 2016)]
    return [line.split(",") for year in years for line in year]


def _sonar_rows(lines):
    rows = [line.split(",") for line in lines("sonar.all-data")]
    return [[*row[:-1], {"R": "1", "M": "-1"}[row[-1]]] for row in rows]


def _yeast_rows(lines):
    return [line.split()[1:] for line in lines("yeast.data")]  # without the name


# ---- which rows are for the test


def _random_split(n_rows):
    order = np.random.RandomState(0).permutation(n_rows)
    return {"train_indices": order[n_rows // 10 :], "test_indices": order[: n_rows // 10]}


def _turbine_split(n_rows):
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
    features: list  # the names of the columns of `data`
    batch_size: int
    archive: str  # below _UCI
    read_rows: Callable
    checksums: tuple  # SHA-256 of the prepared text, and of a download's if that is another
    last: str = "class"  # the column after the features
    class_type: type | None = str  # None if the last column is no class
    split: Callable = _random_split  # number of rows -> dict of index arrays


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

# Which rows of UCI's magic04.data are the prepared table's test rows: the steps from one to the
# next, as bytes, compressed. (The prepared table came shuffled, by whom and how is not known.)
_MAGIC_TEST_ROWS = (
    "c-j?JNsb#w5JYaZFTFQ+a?H_4mL<UkWEj5q>?ipDFLCg~L$i<-8CzKv;}~TUI*jb1#YrdSW3TFkB2P=yg==z8l3+_rJ"
    "!cN;GtT9%;(9wYUq!=S_f?XS(hp&Z&2uc83`d4|;+bM;uK(lRQR5I&R{5j!&LU)=%z}6Pn-^s_sO}`3U1ef6CYQZacj"
    "iUE^W8@d(;URdVbv6wsfo;)abuy$sIbfUC}Y(U**Rj$No+`N3)S2-hDh0q#fIU0UdYARuFgC9r?Y8O1z=&WU)57!9w?"
    "vxd?zPH8@ZX+l(AqGF>GqMf50M=1{@|@eI;7#NGnz8BKnp|5?AK-O^501i7Jk@8zqk2<L9jPh;!umd?0#6AFQwbw_~>"
    "`i#jh@9u#d08Act33T8-%ub}rPpdlsJ;Vq1=1g&E@DJZ;J#R`?!DX36B*gd^=S(U&9wWb#g^=h$RRdx%s^i%~<9c6bX"
    "s8|YF+B0LhVwMlsC`;Z9cSA2f!2nBKshQH)o!-oJGy5Fb#GsA$`UG`aQg)Voxe(>wgEu?AOr@K%f>A8-$3%Y05g)_GU"
    "uT!ClBs7;n)BpiU$T<jbtK4@;Q|Tul3xN{*WskuNe+b5j`jpiG1ki$HRl2pqAp>ESe`~{>STPv&=kf_oK(y`*x9ybJ~"
    "5f?o9dMMX#h%z1^Rl4w8m~6$oqp{X;Esx>}@Te;qQnQw(AKuFvzW{3t)90oqZZ1-I}JFzRcJ>%%YKK3Kq-6Zck7g1MI"
    "*sD@pvBsD$@kx6va}qbwyl&lYE8|4SN2U+rs=JbKxm;-zPpdcw%?AGB+hLK|m`H}Dp3ldwnPjGZizzt3JC|FVBnlNQQ"
    "@k1hpu6rzQ{Gz8dyK<2`0vBe{CMMh)Q0N1#Ww{#gMU?kD@HV)|vc$6VZPa$jK#?O*dIdJgG#dqiOv_52FdGdH}7Z<2*"
    "WJPXsa4g~AUu$1?y0DtP=3aDqgtoQyWZ(pffokI=mpnJz2U=4;DBJvQe;?Y^tdY4PScN?hs2qVoN6o93%1JWEwId$AD"
    "M#MY60x8@Tp=kOOb3qD3QA7g=-x<Ef(JiBOL^v=C9OXsY)E>%_kp(aB*?I*B&ZArA~|&Grx*Yp1<*aS{D4a2YFc>Yun"
    "hCg3z%!e=mPrmK0>I3E|uhmvg043QGb;f?Dzr!`=UXpud}sTW;CatDk9nYqiNja#IjA)NH31RagWA%H5+Ag@bs$&>{W"
    "gOgLSRqcD}v(F!0<f$B*Qfi%sz>&AyPjy?zW3JL^1Huve{W-BD9vTvgB<^r2}D(%iroa&EfA)}6hS;q?lPO0Qyuw@W>"
    "eOCCa)w}yuL1cA`rKWEe}pq=_>za)pMg+(Mr?x+r58>$a2Zvsc~UE+X7dH;sz;e4%A4vTh9oWtS7kMmE3iTSelA;^$A"
    "(D<sbhBn_61w)k*)wu(Kq8y(Z=U3k$w;iM)0dk;@$6<@6{fI1t(w#u;C%w`*eG+oF;_5`0{kGijoV}0ViK4~}!4z}W;"
    "A#MhJF-TwL~-c#S7|SxeTEO7XER@pUvOi{Zh{|vjl_E>4NP{#D0YWTZGlE)4Dr|%)O!0Lh;>R#"
)
