"""The four data sets of "Structure Search for Normalizing Flows" (Gonsior, Mücke, Morik, 2021).

Each ``fetch_*`` function reads a prepared table, ``<name>.csv.gz``, from a directory. Where it is
absent, the archive of the UCI Machine Learning Repository is downloaded, converted into the same
table and kept there. Either way its SHA-256 is checked, so that all figures are on the same rows.
"""

import gzip
import http.client
import inspect
import os
import tempfile
import zipfile
import zlib
from base64 import b85decode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_file, get_data_home
from sklearn.utils import Bunch
from sklearn.utils._param_validation import validate_params

__all__ = ["fetch_magic", "fetch_sonar", "fetch_turbine", "fetch_yeast"]

_UCI = "https://archive.ics.uci.edu/static/public"
_N_TURBINE_TRAIN = 22191  # the rows of 2011, 2012 and 2013
_PARAMETERS = {
    "data_home": [str, os.PathLike, None],
    "as_frame": ["boolean"],
    "return_X_y": ["boolean"],
    "download_if_missing": ["boolean"],
}


@validate_params(_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_magic(*, data_home=None, as_frame=False, return_X_y=False, download_if_missing=True):
    """Fetch the MAGIC Gamma Telescope data: 19020 rows, 10 features, 2 classes.

    Parameters of simulated images of particle showers, which a gamma ray or a hadron set off.
    Source: R. Bock (2004), UCI Machine Learning Repository, https://doi.org/10.24432/C52C8B,
    licence CC BY 4.0.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Directory of ``magic.csv.gz``. The default is the environment variable ``SKFLOW_DATA``,
        and where that is not set, the folder ``skflow`` in scikit-learn's data directory.
    as_frame : bool, default=False
        Whether to return pandas objects. An ImportError is raised if pandas is not installed.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    download_if_missing : bool, default=True
        Whether to download data that are not in the directory, or else to raise an error.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        data : {ndarray, DataFrame} of shape (19020, 10)
            The features, float64, unscaled.
        target : {ndarray, Series} of shape (19020,)
            ``"g"`` (gamma, 12332 rows) or ``"h"`` (hadron, 6688 rows).
        train_indices, test_indices : ndarray of shape (17118,), (1902,)
            With ``p = numpy.random.RandomState(0).permutation(19020)`` these are ``p[1902:]`` and
            ``p[:1902]``.
        batch_size : int
            380, the paper's.
        feature_names : list of str
            Names of the columns of ``data``.
        frame : DataFrame of shape (19020, 11), None without ``as_frame``
            Features and target in one table.
        DESCR : str
            This description.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    OSError
        If the data are absent and cannot or may not be downloaded, or their checksum is wrong.

    Notes
    -----
    The prepared table has the rows of UCI's file in another order. A download is arranged so that
    the same rows are the test rows; within the two parts their order is UCI's, and some values
    differ from the prepared ones in the last bit.

    Examples
    --------
    >>> from skflow.datasets import fetch_magic
    >>> magic = fetch_magic()  # doctest: +SKIP
    >>> magic.data[magic.train_indices].shape  # doctest: +SKIP
    (17118, 10)
    """
    doc = fetch_magic.__doc__
    return _fetch("magic", doc, data_home, as_frame, return_X_y, download_if_missing)


@validate_params(_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_turbine(*, data_home=None, as_frame=False, return_X_y=False, download_if_missing=True):
    """Fetch the Gas Turbine CO and NOx Emission data: 36733 rows, 10 features.

    Hourly means of the sensors of a gas turbine, 2011 to 2015, in order of time. The source has
    eleven columns and the paper uses ten without saying which; ``data`` has the first ten and
    leaves out the last, ``NOX``. Source: H. Kaya, P. Tüfekci, E. Uzun (2019), UCI Machine Learning
    Repository, https://doi.org/10.24432/C5WC95, licence CC BY 4.0.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Directory of ``turbine.csv.gz``. The default is the environment variable ``SKFLOW_DATA``,
        and where that is not set, the folder ``skflow`` in scikit-learn's data directory.
    as_frame : bool, default=False
        Whether to return pandas objects. An ImportError is raised if pandas is not installed.
    return_X_y : bool, default=False
        Whether to return ``(data, None)`` instead of a Bunch.
    download_if_missing : bool, default=True
        Whether to download data that are not in the directory, or else to raise an error.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        data : {ndarray, DataFrame} of shape (36733, 10)
            The features, float64, unscaled.
        target : None
            There is none.
        train_indices, test_indices : ndarray of shape (22191,), (14542,)
            The years 2011-2013, and 2014-2015, whose distribution is another.
        fit_indices, heldout_indices : ndarray of shape (19972,), (2219,)
            The training years in two parts, for a figure in distribution. With
            ``p = numpy.random.RandomState(1).permutation(22191)`` the rows held out are
            ``p[:2219]`` and the rows to fit on ``p[2219:]``.
        batch_size : int
            443, the paper's.
        feature_names : list of str
            Names of the columns of ``data``.
        frame : DataFrame of shape (36733, 10), None without ``as_frame``
            Features and target in one table.
        DESCR : str
            This description.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    OSError
        If the data are absent and cannot or may not be downloaded, or their checksum is wrong.

    Examples
    --------
    >>> from skflow.datasets import fetch_turbine
    >>> turbine = fetch_turbine()  # doctest: +SKIP
    >>> turbine.data[turbine.fit_indices].shape  # doctest: +SKIP
    (19972, 10)
    """
    doc = fetch_turbine.__doc__
    return _fetch("turbine", doc, data_home, as_frame, return_X_y, download_if_missing)


@validate_params(_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_sonar(*, data_home=None, as_frame=False, return_X_y=False, download_if_missing=True):
    """Fetch the Connectionist Bench sonar data: 208 rows, 60 features, 2 classes.

    The energy, from 0 to 1, of an echo in 60 frequency bands; rows are sorted by class. Source:
    T. Sejnowski, R. Gorman, UCI Machine Learning Repository, https://doi.org/10.24432/C5T01Q,
    licence CC BY 4.0.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Directory of ``sonar.csv.gz``. The default is the environment variable ``SKFLOW_DATA``,
        and where that is not set, the folder ``skflow`` in scikit-learn's data directory.
    as_frame : bool, default=False
        Whether to return pandas objects. An ImportError is raised if pandas is not installed.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    download_if_missing : bool, default=True
        Whether to download data that are not in the directory, or else to raise an error.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        data : {ndarray, DataFrame} of shape (208, 60)
            The features, float64, unscaled.
        target : {ndarray, Series} of shape (208,)
            The integers 1 (rock, 97 rows) and -1 (mine, 111 rows).
        train_indices, test_indices : ndarray of shape (188,), (20,)
            With ``p = numpy.random.RandomState(0).permutation(208)`` these are ``p[20:]`` and
            ``p[:20]``.
        batch_size : int
            16, the paper's.
        feature_names : list of str
            Names of the columns of ``data``.
        frame : DataFrame of shape (208, 61), None without ``as_frame``
            Features and target in one table.
        DESCR : str
            This description.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    OSError
        If the data are absent and cannot or may not be downloaded, or their checksum is wrong.

    Examples
    --------
    >>> from skflow.datasets import fetch_sonar
    >>> X, y = fetch_sonar(return_X_y=True)  # doctest: +SKIP
    >>> X.shape, y.shape  # doctest: +SKIP
    ((208, 60), (208,))
    """
    doc = fetch_sonar.__doc__
    return _fetch("sonar", doc, data_home, as_frame, return_X_y, download_if_missing)


@validate_params(_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_yeast(*, data_home=None, as_frame=False, return_X_y=False, download_if_missing=True):
    """Fetch the yeast data: 1484 rows, 8 features, 10 classes.

    Scores of the amino acid sequence of proteins, and their place in the cell. Values are on a grid
    of 0.01; ``erl`` and ``pox`` take very few. Source: K. Nakai (1991), UCI Machine Learning
    Repository, https://doi.org/10.24432/C5KG68, licence CC BY 4.0.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Directory of ``yeast.csv.gz``. The default is the environment variable ``SKFLOW_DATA``,
        and where that is not set, the folder ``skflow`` in scikit-learn's data directory.
    as_frame : bool, default=False
        Whether to return pandas objects. An ImportError is raised if pandas is not installed.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.
    download_if_missing : bool, default=True
        Whether to download data that are not in the directory, or else to raise an error.

    Returns
    -------
    dataset : :class:`~sklearn.utils.Bunch`
        data : {ndarray, DataFrame} of shape (1484, 8)
            The features, float64, unscaled.
        target : {ndarray, Series} of shape (1484,)
            Strings of three characters, such as ``"CYT"``, the most frequent.
        train_indices, test_indices : ndarray of shape (1336,), (148,)
            With ``p = numpy.random.RandomState(0).permutation(1484)`` these are ``p[148:]`` and
            ``p[:148]``.
        batch_size : int
            29, the paper's.
        feature_names : list of str
            Names of the columns of ``data``.
        frame : DataFrame of shape (1484, 9), None without ``as_frame``
            Features and target in one table.
        DESCR : str
            This description.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    OSError
        If the data are absent and cannot or may not be downloaded, or their checksum is wrong.

    Examples
    --------
    >>> from skflow.datasets import fetch_yeast
    >>> X, y = fetch_yeast(return_X_y=True)  # doctest: +SKIP
    >>> X.shape, y.shape  # doctest: +SKIP
    ((1484, 8), (1484,))
    """
    doc = fetch_yeast.__doc__
    return _fetch("yeast", doc, data_home, as_frame, return_X_y, download_if_missing)


def _fetch(name, doc, data_home, as_frame, return_X_y, download_if_missing):
    table = _TABLES[name]
    pandas = _import_pandas(name) if as_frame else None
    if data_home is None:
        data_home = os.environ.get("SKFLOW_DATA") or Path(get_data_home()) / "skflow"
    path = Path(data_home).expanduser() / f"{name}.csv.gz"
    if path.exists():
        text = _read(path, table)
    elif download_if_missing:
        text = _download(path, table)
    else:
        raise OSError(_missing(path, table, "download_if_missing=False forbids to download it"))

    rows = [line.split(",") for line in text.splitlines()[1:]]
    data = np.array([row[: len(table.features)] for row in rows], dtype=np.float64)
    target = frame = None
    if table.class_type is not None:
        target = np.array([row[-1] for row in rows], dtype=table.class_type)
    if as_frame:
        data = frame = pandas.DataFrame(data, columns=table.features)
        if target is not None:
            target = pandas.Series(target, name="class")
            frame = data.assign(**{"class": target})
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=list(table.features),
        batch_size=table.batch_size,
        DESCR=inspect.cleandoc(doc or ""),
        **table.split(table.n_rows),
    )


def _import_pandas(name):
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"fetch_{name}(as_frame=True) needs pandas, which is not installed: install it "
            "(pip install pandas), or pass as_frame=False for numpy arrays."
        ) from error
    return pandas


def _missing(path, table, reason):
    return (
        f"{path.name} is not in the directory {str(path.parent)!r}, and {reason}. Put the prepared "
        f"{path.name} (SHA-256 {table.sha256}) there, or the one that the same function saved on "
        "another machine; or name the directory that has it by the argument data_home or the "
        "environment variable SKFLOW_DATA."
    )


def _read(path, table):
    """Return the text of a prepared or formerly downloaded table if its checksum is right."""
    content = path.read_bytes()
    found = sha256(content).hexdigest()
    try:
        text = gzip.decompress(content).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        text = ""
    # Compressors differ between machines: of a download it is the text whose checksum is known.
    if found == table.sha256 or sha256(text.encode()).hexdigest() == table.text_sha256:
        return text
    raise OSError(
        f"{str(path)!r} is damaged or another file: its SHA-256 is {found}, expected is "
        f"{table.sha256}. Replace it by the prepared {path.name}, or remove it and call again "
        "with download_if_missing=True."
    )


def _download(path, table):
    """Download a table, save it as `path` and return its text."""
    url = f"{_UCI}/{table.archive}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            archive = fetch_file(url, folder=folder, local_filename="archive.zip")
            with zipfile.ZipFile(archive) as opened:
                text = _convert(table.read_rows(opened), table)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under another name at first, so that nobody ever reads half a file.
        part = path.with_name(f"{path.name}.part{os.getpid()}")
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
        part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        reason = (
            f"it could not be downloaded from {url} and saved ({type(error).__name__}: {error})"
        )
        raise OSError(_missing(path, table, reason)) from error
    except (zipfile.BadZipFile, zlib.error, KeyError, IndexError, ValueError) as error:
        reason = f"{url} has changed since this was written ({type(error).__name__}: {error})"
        raise OSError(_missing(path, table, reason)) from error
    return text


def _convert(rows, table):
    """Return the text of the prepared table, made of the rows of UCI's."""
    columns = [*table.features, table.last]
    widths = sorted({len(row) for row in rows})
    if len(rows) != table.n_rows or widths != [len(columns)]:
        raise ValueError(
            f"found {len(rows)} rows of {widths} columns, expected {table.n_rows} rows of "
            f"{len(columns)}"
        )
    n = len(columns) - (table.class_type is not None)
    lines = [",".join(columns)]
    lines += [",".join([repr(float(value)) for value in row[:n]] + row[n:]) for row in rows]
    text = "\n".join(lines) + "\n"
    found = sha256(text.encode()).hexdigest()
    if found != table.text_sha256:
        raise ValueError(f"the table's SHA-256 is {found}, expected {table.text_sha256}")
    return text


def _lines(archive, member):
    return [line for line in archive.read(member).decode().splitlines() if line.strip()]


def _magic_rows(archive):
    rows = [line.split(",") for line in _lines(archive, "magic04.data")]
    steps = np.frombuffer(zlib.decompress(b85decode(_MAGIC_TEST_ROWS)), dtype=np.uint8)
    is_test = np.isin(np.arange(len(rows)), np.cumsum(steps))
    split = _random_split(len(rows))
    order = np.empty(len(rows), dtype=int)
    order[np.r_[split["test_indices"], split["train_indices"]]] = np.argsort(
        ~is_test, kind="stable"
    )
    return [rows[i] for i in order]


def _turbine_rows(archive):
    years = [_lines(archive, f"gt_{year}.csv")[1:] for year in range(2011, 2016)]
    return [line.split(",") for lines in years for line in lines]


def _sonar_rows(archive):
    rows = [line.split(",") for line in _lines(archive, "sonar.all-data")]
    return [[*row[:-1], {"R": "1", "M": "-1"}[row[-1]]] for row in rows]


def _yeast_rows(archive):
    return [line.split()[1:] for line in _lines(archive, "yeast.data")]  # without the name


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
class _Table:
    """What is known of one data set."""

    n_rows: int
    features: list  # the names of the columns of `data`
    last: str  # the column after them, the class except in turbine
    class_type: type | None  # None if it is no class
    batch_size: int
    sha256: str  # of the prepared file
    text_sha256: str  # of the text that a download is converted into
    archive: str  # below _UCI
    read_rows: Callable  # archive -> list of rows, each a list of strings
    split: Callable  # number of rows -> dict of index arrays


_TABLES = {
    "magic": _Table(
        n_rows=19020,
        features="fLength fWidth fSize fConc fConc1 fAsym fM3Long fM3Trans fAlpha fDist".split(),
        last="class",
        class_type=str,
        batch_size=380,
        sha256="f26a6663fd752eee3eca82f6e62e6992a6f707f346531aef7beb0a0312b685a0",
        text_sha256="6070d4bb98f6afcb618433f8e725021bcc22324e8f8ecd5d6c410d60bb854175",
        archive="159/magic+gamma+telescope.zip",
        read_rows=_magic_rows,
        split=_random_split,
    ),
    "turbine": _Table(
        n_rows=36733,
        features="AT AP AH AFDP GTEP TIT TAT TEY CDP CO".split(),
        last="NOX",
        class_type=None,
        batch_size=443,
        sha256="3917a3240ecfbad9a1a827af0dc3982aabc9415daa4fd6711f2d6c80ea3006fc",
        text_sha256="f19d339224fc6a754d147bdc5050e12897f43c695eda319b5579c4a3bfeccf0a",
        archive="551/gas+turbine+co+and+nox+emission+data+set.zip",
        read_rows=_turbine_rows,
        split=_turbine_split,
    ),
    "sonar": _Table(
        n_rows=208,
        features=[f"band_{i:02}" for i in range(1, 61)],
        last="class",
        class_type=int,
        batch_size=16,
        sha256="82506ec7bf2f7711aa817a957a0286c11cd28d01cdd41bdff67863e9c6db224a",
        text_sha256="79084a6863ba2e45e7548424240e25c1f04e18154444618551161b3e3ede5fab",
        archive="151/connectionist+bench+sonar+mines+vs+rocks.zip",
        read_rows=_sonar_rows,
        split=_random_split,
    ),
    "yeast": _Table(
        n_rows=1484,
        features="mcg gvh alm mit erl pox vac nuc".split(),
        last="class",
        class_type=str,
        batch_size=29,
        sha256="1ea9e64a041d10706a38724193f75929f84ae5f46c633b7dd62368686919839b",
        text_sha256="1606fb1af50a1193b660e2c1e1d540322539ba9b53428b4c7b86c9e564215d10",
        archive="110/yeast.zip",
        read_rows=_yeast_rows,
        split=_random_split,
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
