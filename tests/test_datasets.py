"""The loaders, on the prepared data where they are at hand and on made-up tables elsewhere.

No test reaches the network: the address of the archive is always one on loopback.
"""

import gzip
import http.server
import io
import socket
import sys
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from skflow import _uci, datasets

TURBINE_YEARS = {2011: 7411, 2012: 7628, 2013: 7152, 2014: 7158, 2015: 7384}

# name: rows, features, column after them, batch size, rows of each class
EXPECTED = {
    "magic": (19020, 10, "class", 380, {"g": 12332, "h": 6688}),
    "turbine": (36733, 10, "NOX", 443, None),
    "sonar": (208, 60, "class", 16, {-1: 111, 1: 97}),
    "yeast": (
        *(1484, 8, "class", 29),
        dict(CYT=463, ERL=5, EXC=35, ME1=44, ME2=51, ME3=163, MIT=244, NUC=429, POX=20, VAC=30),
    ),
}
every_name = pytest.mark.parametrize("name", EXPECTED)


def fetch(name, **kwargs):
    return getattr(datasets, f"fetch_{name}")(**kwargs)


@pytest.fixture(autouse=True)
def nothing_listens(monkeypatch):
    """Point the loaders at a loopback port that refuses connections, and do not wait to retry."""
    monkeypatch.delenv("SKFLOW_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("sklearn.datasets._base.time.sleep", lambda seconds: None)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        monkeypatch.setattr(_uci, "_UCI", f"http://127.0.0.1:{reserved.getsockname()[1]}")
        yield


@pytest.fixture
def serve(monkeypatch):
    """Return a function that starts a server of ``{path: bytes}``; it can be shut down."""
    servers = []

    def start(files):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                content = files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(_uci, "_UCI", f"http://127.0.0.1:{server.server_port}")
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# ---- the archives of the UCI repository, made of rows in its order


def zipped(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, lines in members.items():
            archive.writestr(name, "\n".join(lines) + "\n")
    return buffer.getvalue()


def magic_archive(rows):
    return {"magic04.data": [",".join(row) for row in rows] + [""], "magic04.names": ["text"]}


def turbine_archive(rows):
    members, start = {}, 0
    for year, n_rows in TURBINE_YEARS.items():
        lines = [",".join(row) for row in rows[start : start + n_rows]]
        members[f"gt_{year}.csv"] = ["AT,AP,AH,AFDP,GTEP,TIT,TAT,TEY,CDP,CO,NOX", *lines]
        start += n_rows
    return members


def sonar_archive(rows):
    letter = {"1": "R", "-1": "M"}
    lines = [",".join([*row[:-1], letter[row[-1]]]) for row in rows]
    return {"sonar.all-data": lines, "sonar.names": ["text"]}


def yeast_archive(rows):
    return {"yeast.data": ["ADT1_YEAST  " + "  ".join(row) for row in rows]}


# name: where the archive is, and what makes it
ARCHIVES = {
    "magic": ("/159/magic+gamma+telescope.zip", magic_archive),
    "turbine": ("/551/gas+turbine+co+and+nox+emission+data+set.zip", turbine_archive),
    "sonar": ("/151/connectionist+bench+sonar+mines+vs+rocks.zip", sonar_archive),
    "yeast": ("/110/yeast.zip", yeast_archive),
}
YEAST = [["0.50"] * 8 + ["CYT"]] * 1484


@pytest.fixture
def any_checksum(monkeypatch):
    """Whatever a table holds, it is the one that is known."""
    (wanted,) = _uci.TABLES["yeast"].checksums
    monkeypatch.setattr(_uci, "_checksum", lambda text: wanted)


# ---- on the prepared data


@pytest.mark.paper_data
@every_name
def test_prepared_data(name, paper_data, monkeypatch):
    pandas = pytest.importorskip("pandas")
    n_rows, n_features, last, batch_size, classes = EXPECTED[name]
    bunch = fetch(name, data_home=paper_data, download_if_missing=False)
    assert bunch.data.shape == (n_rows, n_features) and bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert last not in bunch.feature_names
    assert bunch.batch_size == batch_size and bunch.frame is None
    assert "CC BY 4.0" in bunch.DESCR and str(n_rows) in bunch.DESCR
    monkeypatch.setenv("SKFLOW_DATA", str(paper_data))
    framed = fetch(name, as_frame=True)
    X, y = fetch(name, as_frame=True, return_X_y=True)
    assert list(X.columns) == bunch.feature_names
    np.testing.assert_array_equal(X.to_numpy(), bunch.data)
    pandas.testing.assert_frame_equal(framed.data, X)
    if classes is None:
        assert bunch.target is None and y is None
        pandas.testing.assert_frame_equal(framed.frame, X)
    else:
        values, counts = np.unique(bunch.target, return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == classes
        np.testing.assert_array_equal(y.to_numpy(), bunch.target)
        assert y.name == "class" and list(framed.frame) == [*X.columns, "class"]
        np.testing.assert_array_equal(framed.frame["class"], bunch.target)
    both = np.concatenate([bunch.train_indices, bunch.test_indices])
    np.testing.assert_array_equal(np.sort(both), np.arange(n_rows))
    if name != "turbine":
        expected = np.random.RandomState(0).permutation(n_rows)[: n_rows // 10]
        np.testing.assert_array_equal(bunch.test_indices, expected)


@pytest.mark.paper_data
def test_prepared_values_and_years(paper_data):
    """First and last rows, as they stand in the files."""
    first = [4.5878, 1018.7, 83.675, 3.5758, 23.979, 1086.2, 549.83, 134.67, 11.898, 0.32663]
    last = [6.0392, 1028.8, 94.547, 3.8752, 22.524, 1067.9, 548.23, 125.41, 11.462, 11.981]
    turbine = datasets.fetch_turbine(data_home=paper_data)
    np.testing.assert_array_equal(turbine.data[[0, -1]], [first, last])
    np.testing.assert_array_equal(turbine.train_indices, np.arange(22191))
    expected = np.random.RandomState(1).permutation(22191)[:2219]
    np.testing.assert_array_equal(turbine.heldout_indices, expected)
    both = np.concatenate([turbine.fit_indices, turbine.heldout_indices])
    np.testing.assert_array_equal(np.sort(both), turbine.train_indices)
    yeast = datasets.fetch_yeast(data_home=paper_data)
    np.testing.assert_array_equal(yeast.data[0], [0.58, 0.61, 0.47, 0.13, 0.5, 0.0, 0.48, 0.22])
    assert (yeast.target[0], yeast.target[-1]) == ("MIT", "CYT")


# ---- download


@pytest.mark.slow
@pytest.mark.paper_data
@pytest.mark.parametrize("name", ["turbine", "sonar", "yeast"])
def test_download_gives_the_prepared_table(name, paper_data, tmp_path, serve):
    """These three are UCI's rows in UCI's order, so real checksums hold, and nothing is patched."""
    with gzip.open(paper_data / f"{name}.csv.gz", "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in file][1:]
    url, make = ARCHIVES[name]
    server = serve({url: zipped(make(rows))})
    home = tmp_path / "new" / "folder"
    downloaded, prepared = fetch(name, data_home=home), fetch(name, data_home=paper_data)
    np.testing.assert_array_equal(downloaded.data, prepared.data)
    assert name == "turbine" or (downloaded.target == prepared.target).all()
    assert [path.name for path in home.iterdir()] == [f"{name}.csv.gz"]
    server.shutdown()
    server.server_close()
    np.testing.assert_array_equal(fetch(name, data_home=home).data, prepared.data)


def test_magic_download_has_recorded_test_rows():
    """Rows that carry their number show where each one goes."""
    rows = [f"{i}," + "0," * 9 + "g" for i in range(19020)]
    number = np.array([int(row[0]) for row in _uci._magic_rows(lambda name: rows)])
    np.testing.assert_array_equal(np.sort(number), np.arange(19020))
    order = np.random.RandomState(0).permutation(19020)
    for part in order[:1902], order[1902:]:
        assert (np.diff(number[part]) > 0).all()
    # The first of them, found by comparing the values of the prepared table with UCI's.
    np.testing.assert_array_equal(number[order[:5]], [5, 16, 19, 24, 26])


@pytest.mark.paper_data
def test_magic_test_rows_have_the_prepared_classes(paper_data):
    """UCI's file has all of class g first, so the recorded rows imply a count, checked here."""
    bunch = datasets.fetch_magic(data_home=paper_data)
    arranged = _uci._magic_rows(lambda name: ["0,g"] * 12332 + ["0,h"] * 6688)
    labels = np.array([row[-1] for row in arranged])[bunch.test_indices]
    expected = np.count_nonzero(bunch.target[bunch.test_indices] == "g")
    assert np.count_nonzero(labels == "g") == expected


def encrypted(archive):
    """The archive with the mark of an encrypted member, in both of its headers."""
    altered = bytearray(archive)
    altered[6] |= 1
    altered[archive.index(b"PK\1\2") + 8] |= 1
    return bytes(altered)


#: By name: an archive has the time in it, and two workers have to collect the same tests.
CHANGED = {
    "another value": (lambda: zipped(yeast_archive(YEAST)), "of another SHA-256"),
    "a row too few": (lambda: zipped(yeast_archive(YEAST[:-1])), "1483 rows, 1484 expected"),
    "no number": (lambda: zipped(yeast_archive([["?"] * 9])), "could not convert"),
    "a page": (lambda: b"<html>", "not a zip file"),
    "another archive": (lambda: zipped({"readme.txt": ["moved"]}), "no item named"),
    "encrypted": (lambda: encrypted(zipped(yeast_archive(YEAST))), "encrypted"),
    "lzma": (lambda: zipped(yeast_archive(YEAST), zipfile.ZIP_LZMA), "of another SHA-256"),
    "truncated": (lambda: zipped(yeast_archive(YEAST))[:-30], "not a zip file"),
    "cut": (lambda: zipped(yeast_archive(YEAST))[:40] + zipped(yeast_archive(YEAST))[60:], ""),
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_changed_source_is_an_error_of_the_system(change, tmp_path, serve):
    make, message = CHANGED[change]
    serve({"/110/yeast.zip": make()})
    with pytest.raises(OSError, match=f"has changed since .*{message}") as error:
        datasets.fetch_yeast(data_home=tmp_path)
    assert_says_what_to_do(str(error.value), "yeast", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_of_magic(tmp_path, serve):
    serve({ARCHIVES["magic"][0]: zipped(magic_archive([["0"] * 10 + ["g"]] * 100))})
    with pytest.raises(OSError, match="has changed since"):
        datasets.fetch_magic(data_home=tmp_path)


@pytest.mark.slow
def test_flipped_bits_of_an_archive_are_errors_of_the_system(tmp_path, monkeypatch, any_checksum):
    whole = zipped(yeast_archive(YEAST))
    altered_path = tmp_path / "archive.zip"
    monkeypatch.setattr(_uci, "fetch_file", lambda *args, **kwargs: altered_path)
    rng = np.random.default_rng(0)
    ends = [*range(60), *range(len(whole) - 120, len(whole))]  # the headers
    for place in [*ends, *rng.integers(len(whole), size=100)]:
        altered = bytearray(whole)
        altered[place] ^= 1 << rng.integers(8)
        altered_path.write_bytes(altered)
        home = tmp_path / "home" / str(place)
        try:
            assert datasets.fetch_yeast(data_home=home).data.shape == (1484, 8)
        except OSError as error:
            assert_says_what_to_do(str(error), "yeast", home)


@pytest.mark.parametrize("where", ["archive", "file"])
def test_no_more_is_decompressed_than_the_table(where, tmp_path, serve):
    path = tmp_path / "yeast.csv.gz"
    if where == "archive":
        serve({"/110/yeast.zip": zipped({"yeast.data": ["0" * 10**8]})})
    else:
        path.write_bytes(gzip.compress(b"0" * 10**8))
    tracemalloc.start()
    with pytest.raises(OSError, match="has changed since|damaged or another file"):
        datasets.fetch_yeast(data_home=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7


# ---- absent, damaged, forbidden


def assert_says_what_to_do(message, name, home):
    for part in (f"{name}.csv.gz", str(home), *_uci.TABLES[name].checksums[:1]):
        assert part in message
    assert "data_home" in message and "SKFLOW_DATA" in message


@pytest.mark.filterwarnings("ignore:Retry downloading")
@every_name
def test_unreachable_source(name, tmp_path, serve):
    with pytest.raises(OSError, match="could not be downloaded") as error:
        fetch(name, data_home=tmp_path)
    assert_says_what_to_do(str(error.value), name, tmp_path)
    assert _uci._UCI in str(error.value)
    serve({})
    with pytest.raises(OSError, match="404"):
        fetch(name, data_home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path, serve, any_checksum):
    serve({"/110/yeast.zip": zipped(yeast_archive(YEAST))})
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="could not be saved there") as error:
        datasets.fetch_yeast(data_home=tmp_path / "file" / "home")
    assert_says_what_to_do(str(error.value), "yeast", tmp_path / "file" / "home")


def test_directories_in_their_order(tmp_path, monkeypatch):
    """The argument, the environment variable, scikit-learn's folder; nothing is made in there."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "data"))
    for home, given in [
        (tmp_path / "data" / "skflow", {}),
        (tmp_path / "environment", {}),
        (tmp_path / "argument", {"data_home": str(tmp_path / "argument")}),
    ]:
        with pytest.raises(OSError, match="download_if_missing=False") as error:
            datasets.fetch_sonar(download_if_missing=False, **given)
        assert_says_what_to_do(str(error.value), "sonar", home)
        assert not home.exists()
        monkeypatch.setenv("SKFLOW_DATA", str(tmp_path / "environment"))


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a,b\n1,2\n", mtime=0)])
def test_checksum_mismatch(content, tmp_path):
    path = tmp_path / "sonar.csv.gz"
    path.write_bytes(content)
    with pytest.raises(OSError, match="damaged or another file") as error:
        datasets.fetch_sonar(data_home=tmp_path)
    assert str(path) in str(error.value)
    assert _uci.TABLES["sonar"].checksums[0] in str(error.value)
    assert path.read_bytes() == content


def test_without_pandas(tmp_path, serve, monkeypatch, any_checksum):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"fetch_yeast\(as_frame=True\) requires pandas"):
        datasets.fetch_yeast(data_home=tmp_path, as_frame=True)
    serve({"/110/yeast.zip": zipped(yeast_archive(YEAST))})
    assert datasets.fetch_yeast(data_home=tmp_path).data.shape == (1484, 8)


@pytest.mark.parametrize(
    "argument",
    [{"data_home": 3}, {"as_frame": "yes"}, {"return_X_y": 2}, {"download_if_missing": None}],
)
def test_argument_of_wrong_type(argument):
    (parameter,) = argument
    with pytest.raises(ValueError, match=f"'{parameter}' parameter of fetch_yeast"):
        datasets.fetch_yeast(**argument)
