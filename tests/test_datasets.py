"""The loaders, on the prepared data where they are at hand and on made-up tables elsewhere.

No test reaches the network: the address of the archive is always one on loopback.
"""

import dataclasses
import gzip
import hashlib
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
NAMES = list(EXPECTED)
RANDOM_SPLIT = ["magic", "sonar", "yeast"]


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


# ---- the archives of the UCI repository, made of rows in its order ----


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
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


def made_up_rows(name):
    """Return as many rows of strings as the real table has, two decimals with trailing zeros."""
    n_rows, n_features, _, _, classes = EXPECTED[name]
    rng = np.random.RandomState(0)
    numbers = rng.randint(0, 10000, size=(n_rows, n_features + (classes is None))) / 100
    rows = [[f"{value:.2f}" for value in row] for row in numbers]
    if classes is not None:
        labels = np.repeat([str(label) for label in classes], list(classes.values()))
        rows = [[*row, str(label)] for row, label in zip(rows, labels, strict=True)]
    return rows


def accept_made_up_rows(monkeypatch, name):
    """Let the checksum that is expected be that of the made-up table."""
    with zipfile.ZipFile(io.BytesIO(zipped(ARCHIVES[name][1](made_up_rows(name))))) as archive:
        table = _uci.TABLES[name]
        rows = table.read_rows(_uci._Members(archive, _uci._at_most(table)))
    n_numbers = len(table.features) + (table.class_type is None)
    lines = [",".join([*table.features, table.last])]
    for row in rows:
        lines.append(",".join([repr(float(v)) for v in row[:n_numbers]] + row[n_numbers:]))
    checksum = hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()
    monkeypatch.setitem(_uci.TABLES, name, dataclasses.replace(table, text_sha256=checksum))


# ---- on the prepared data ----


@pytest.mark.paper_data
@pytest.mark.parametrize("name", NAMES)
def test_prepared_data(name, paper_data):
    n_rows, n_features, last, batch_size, classes = EXPECTED[name]
    bunch = fetch(name, data_home=paper_data, download_if_missing=False)
    assert bunch.data.shape == (n_rows, n_features)
    assert bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert len(bunch.feature_names) == n_features
    assert last not in bunch.feature_names
    assert bunch.batch_size == batch_size
    assert bunch.frame is None
    assert "CC BY 4.0" in bunch.DESCR and str(n_rows) in bunch.DESCR
    if classes is None:
        assert bunch.target is None
    else:
        values, counts = np.unique(bunch.target, return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == classes
    both = np.concatenate([bunch.train_indices, bunch.test_indices])
    np.testing.assert_array_equal(np.sort(both), np.arange(n_rows))


@pytest.mark.paper_data
def test_prepared_values(paper_data):
    """First and last rows, as they stand in the files."""
    first = [4.5878, 1018.7, 83.675, 3.5758, 23.979, 1086.2, 549.83, 134.67, 11.898, 0.32663]
    last = [6.0392, 1028.8, 94.547, 3.8752, 22.524, 1067.9, 548.23, 125.41, 11.462, 11.981]
    turbine = datasets.fetch_turbine(data_home=paper_data)
    np.testing.assert_array_equal(turbine.data[[0, -1]], [first, last])
    yeast = datasets.fetch_yeast(data_home=paper_data)
    np.testing.assert_array_equal(yeast.data[0], [0.58, 0.61, 0.47, 0.13, 0.5, 0.0, 0.48, 0.22])
    assert (yeast.target[0], yeast.target[-1]) == ("MIT", "CYT")


@pytest.mark.paper_data
@pytest.mark.parametrize("name", RANDOM_SPLIT)
def test_random_test_rows(name, paper_data):
    bunch = fetch(name, data_home=paper_data)
    n = len(bunch.data)
    expected = np.random.RandomState(0).permutation(n)[: n // 10]
    np.testing.assert_array_equal(bunch.test_indices, expected)


@pytest.mark.paper_data
def test_turbine_rows_by_year(paper_data):
    bunch = datasets.fetch_turbine(data_home=paper_data)
    np.testing.assert_array_equal(bunch.train_indices, np.arange(22191))
    np.testing.assert_array_equal(bunch.test_indices, np.arange(22191, 36733))
    expected = np.random.RandomState(1).permutation(22191)[:2219]
    np.testing.assert_array_equal(bunch.heldout_indices, expected)
    both = np.concatenate([bunch.fit_indices, bunch.heldout_indices])
    np.testing.assert_array_equal(np.sort(both), bunch.train_indices)


@pytest.mark.paper_data
@pytest.mark.parametrize("name", NAMES)
def test_environment_variable_and_return_X_y(name, paper_data, monkeypatch):
    monkeypatch.setenv("SKFLOW_DATA", str(paper_data))
    bunch = fetch(name)
    X, y = fetch(name, return_X_y=True)
    np.testing.assert_array_equal(X, bunch.data)
    if name == "turbine":
        assert y is None
    else:
        np.testing.assert_array_equal(y, bunch.target)


@pytest.mark.slow
@pytest.mark.paper_data
@pytest.mark.parametrize("name", NAMES)
def test_as_frame(name, paper_data):
    pandas = pytest.importorskip("pandas")
    arrays = fetch(name, data_home=paper_data)
    bunch = fetch(name, data_home=paper_data, as_frame=True)
    X, y = fetch(name, data_home=paper_data, as_frame=True, return_X_y=True)
    assert isinstance(bunch.data, pandas.DataFrame)
    assert list(bunch.data.columns) == bunch.feature_names == arrays.feature_names
    np.testing.assert_array_equal(bunch.data.to_numpy(), arrays.data)
    pandas.testing.assert_frame_equal(X, bunch.data)
    if name == "turbine":
        assert bunch.target is None and y is None
        pandas.testing.assert_frame_equal(bunch.frame, bunch.data)
    else:
        assert list(bunch.frame.columns) == [*bunch.feature_names, "class"]
        np.testing.assert_array_equal(bunch.frame["class"].to_numpy(), arrays.target)
        pandas.testing.assert_series_equal(y, bunch.target)
        assert y.name == "class"


@pytest.mark.slow
@pytest.mark.paper_data
@pytest.mark.parametrize("name", ["turbine", "sonar", "yeast"])
def test_download_gives_the_prepared_table(name, paper_data, tmp_path, serve):
    """These three are UCI's rows in UCI's order, so real checksums hold, and nothing is patched."""
    with gzip.open(paper_data / f"{name}.csv.gz", "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in file][1:]
    url, make = ARCHIVES[name]
    serve({url: zipped(make(rows))})
    downloaded = fetch(name, data_home=tmp_path)
    prepared = fetch(name, data_home=paper_data)
    np.testing.assert_array_equal(downloaded.data, prepared.data)
    if name != "turbine":
        np.testing.assert_array_equal(downloaded.target, prepared.target)


@pytest.mark.paper_data
def test_magic_test_rows_have_the_prepared_classes(paper_data):
    """UCI's file has all of class g first, so the recorded rows imply a count, checked here."""
    bunch = datasets.fetch_magic(data_home=paper_data)
    rows = [["0"] * 10 + [label] for label in ["g"] * 12332 + ["h"] * 6688]
    with zipfile.ZipFile(io.BytesIO(zipped(magic_archive(rows)))) as archive:
        arranged = _uci._magic_rows(_uci._Members(archive, 10**7))
    labels = np.array([row[-1] for row in arranged])
    expected = np.count_nonzero(bunch.target[bunch.test_indices] == "g")
    assert np.count_nonzero(labels[bunch.test_indices] == "g") == expected


# ---- download, on made-up tables ----


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_download_is_converted_and_kept(name, tmp_path, serve, monkeypatch):
    rows = made_up_rows(name)
    url, make = ARCHIVES[name]
    server = serve({url: zipped(make(rows))})
    accept_made_up_rows(monkeypatch, name)
    home = tmp_path / "new" / "folder"
    bunch = fetch(name, data_home=home)

    _, n_features, _, _, classes = EXPECTED[name]
    values = np.array([row[:n_features] for row in rows], dtype=float)
    if name == "magic":  # the only one that is rearranged: the same rows, each once
        order = np.lexsort(bunch.data.T), np.lexsort(values.T)
        np.testing.assert_array_equal(bunch.data[order[0]], values[order[1]])
        np.testing.assert_array_equal(bunch.target[order[0]], np.array(rows)[order[1], -1])
    else:
        np.testing.assert_array_equal(bunch.data, values)
        if classes is not None:
            assert [str(label) for label in bunch.target] == [row[-1] for row in rows]

    assert [path.name for path in home.iterdir()] == [f"{name}.csv.gz"]
    server.shutdown()
    server.server_close()
    again = fetch(name, data_home=home)
    np.testing.assert_array_equal(again.data, bunch.data)


def test_magic_download_has_recorded_test_rows():
    """Rows that carry their number show where each one goes."""
    rows = [[str(i)] * 10 + ["g"] for i in range(19020)]
    with zipfile.ZipFile(io.BytesIO(zipped(magic_archive(rows)))) as archive:
        number = np.array([int(row[0]) for row in _uci._magic_rows(_uci._Members(archive, 10**7))])
    np.testing.assert_array_equal(np.sort(number), np.arange(19020))
    order = np.random.RandomState(0).permutation(19020)
    for part in order[:1902], order[1902:]:
        assert (np.diff(number[part]) > 0).all()
    # The first of them, found by comparing the values of the prepared table with UCI's.
    np.testing.assert_array_equal(number[order[:5]], [5, 16, 19, 24, 26])


CHANGES = {
    "a row too few": (lambda rows: rows[:-1], "found 1483 rows"),
    "a column too many": (lambda rows: [["0.1", *row] for row in rows], "10"),
    "another value": (lambda rows: [["9.99", *rows[0][1:]], *rows[1:]], "SHA-256"),
    "another order": (lambda rows: rows[::-1], "SHA-256"),
    "no number": (lambda rows: [["?", *rows[0][1:]], *rows[1:]], "could not convert"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_source(change, tmp_path, serve, monkeypatch):
    accept_made_up_rows(monkeypatch, "yeast")
    alter, message = CHANGES[change]
    serve({"/110/yeast.zip": zipped(yeast_archive(alter(made_up_rows("yeast"))))})
    with pytest.raises(OSError, match="has changed since") as error:
        datasets.fetch_yeast(data_home=tmp_path)
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


# by name: an archive has the time in it, and two workers have to collect the same tests
@pytest.mark.parametrize(
    "content", [b"<html>", zipped({"readme.txt": ["moved"]})], ids=["page", "archive"]
)
@pytest.mark.parametrize("name", NAMES)
def test_something_else_at_the_source(name, content, tmp_path, serve):
    serve({ARCHIVES[name][0]: content})
    with pytest.raises(OSError, match="has changed since"):
        fetch(name, data_home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def encrypted(archive):
    """The archive with the mark of an encrypted member, in both of its headers."""
    altered = bytearray(archive)
    altered[6] |= 1
    altered[archive.index(b"PK\1\2") + 8] |= 1
    return bytes(altered)


def compressed_by(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("yeast.data", "0.1 " * 100)
    return buffer.getvalue()


GOOD = {"yeast.data": ["ADT1_YEAST 0.1"] * 50}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: encrypted(zipped(GOOD)), "encrypted"),
        (lambda: compressed_by(zipfile.ZIP_LZMA), "compressed by method 14"),
        (lambda: compressed_by(zipfile.ZIP_BZIP2), "compressed by method 12"),
        (lambda: zipped(GOOD)[:-30], "not a zip file"),
        (lambda: zipped(GOOD)[:40] + zipped(GOOD)[60:], ""),
        (lambda: b"", "not a zip file"),
    ],
    ids=["encrypted", "lzma", "bzip2", "truncated", "cut", "empty"],
)
def test_an_odd_archive_is_an_error_of_the_system(make, message, tmp_path, serve):
    serve({"/110/yeast.zip": make()})
    with pytest.raises(OSError, match=f"has changed since .*{message}") as error:
        datasets.fetch_yeast(data_home=tmp_path)
    assert_says_what_to_do(str(error.value), "yeast", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_flipped_bits_of_an_archive_are_errors_of_the_system(tmp_path, monkeypatch):
    accept_made_up_rows(monkeypatch, "yeast")
    whole = zipped(yeast_archive(made_up_rows("yeast")))
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


def memory_of(call):
    tracemalloc.start()
    try:
        with pytest.raises(OSError) as error:
            call()
        return tracemalloc.get_traced_memory()[1], str(error.value)
    finally:
        tracemalloc.stop()


def test_an_archive_is_not_decompressed_beyond_the_table(tmp_path, serve):
    bomb = {"yeast.data": ["0" * 10**8]}
    serve({"/110/yeast.zip": zipped(bomb)})
    peak, message = memory_of(lambda: datasets.fetch_yeast(data_home=tmp_path))
    assert "yeast.data has more than 371250 bytes" in message
    assert peak < 10**7


def test_a_file_is_not_decompressed_beyond_the_table(tmp_path):
    path = tmp_path / "yeast.csv.gz"
    path.write_bytes(gzip.compress(b"0" * 10**8))
    peak, message = memory_of(lambda: datasets.fetch_yeast(data_home=tmp_path))
    assert "damaged or another file" in message
    assert peak < 10**7
    with path.open("wb") as file:  # nor is a large one read
        file.truncate(10**9)
    peak, message = memory_of(lambda: datasets.fetch_yeast(data_home=tmp_path))
    assert "damaged or another file" in message
    assert peak < 10**7


def test_too_few_rows_of_magic(tmp_path, serve):
    serve({ARCHIVES["magic"][0]: zipped(magic_archive(made_up_rows("magic")[:100]))})
    with pytest.raises(OSError, match=r"found 100 rows of \[11\] columns, expected 19020"):
        datasets.fetch_magic(data_home=tmp_path)


# ---- absent, damaged, forbidden ----


def assert_says_what_to_do(message, name, home):
    for part in (f"{name}.csv.gz", str(home), _uci.TABLES[name].sha256):
        assert part in message
    assert "data_home" in message and "SKFLOW_DATA" in message


@pytest.mark.filterwarnings("ignore:Retry downloading")
@pytest.mark.parametrize("name", NAMES)
def test_unreachable_source(name, tmp_path):
    with pytest.raises(OSError, match="could not be downloaded") as error:
        fetch(name, data_home=tmp_path)
    assert_says_what_to_do(str(error.value), name, tmp_path)
    assert _uci._UCI in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Retry downloading")
def test_source_not_found(tmp_path, serve):
    serve({})
    with pytest.raises(OSError, match="404"):
        datasets.fetch_sonar(data_home=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_download_forbidden(name, tmp_path):
    home = tmp_path / "absent"
    with pytest.raises(OSError, match="download_if_missing=False") as error:
        fetch(name, data_home=home, download_if_missing=False)
    assert_says_what_to_do(str(error.value), name, home)
    assert not home.exists()


def test_default_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with pytest.raises(OSError) as error:
        datasets.fetch_sonar(download_if_missing=False)
    assert_says_what_to_do(str(error.value), "sonar", tmp_path / "skflow")


def test_argument_goes_before_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SKFLOW_DATA", str(tmp_path / "environment"))
    with pytest.raises(OSError, match="environment'"):
        datasets.fetch_sonar(download_if_missing=False)
    with pytest.raises(OSError, match="argument'"):
        datasets.fetch_sonar(data_home=str(tmp_path / "argument"), download_if_missing=False)


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a,b\n1,2\n", mtime=0)])
def test_checksum_mismatch(content, tmp_path):
    path = tmp_path / "sonar.csv.gz"
    path.write_bytes(content)
    with pytest.raises(OSError, match="damaged or another file") as error:
        datasets.fetch_sonar(data_home=tmp_path)
    for part in (str(path), hashlib.sha256(content).hexdigest(), _uci.TABLES["sonar"].sha256):
        assert part in str(error.value)
    assert path.read_bytes() == content


def test_without_pandas(tmp_path, serve, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas.*as_frame=False"):
        datasets.fetch_yeast(data_home=tmp_path, as_frame=True)
    serve({"/110/yeast.zip": zipped(yeast_archive(made_up_rows("yeast")))})
    accept_made_up_rows(monkeypatch, "yeast")
    assert datasets.fetch_yeast(data_home=tmp_path).data.shape == (1484, 8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "argument",
    [{"data_home": 3}, {"as_frame": "yes"}, {"return_X_y": 2}, {"download_if_missing": None}],
)
def test_argument_of_wrong_type(name, argument):
    (parameter,) = argument
    with pytest.raises(ValueError, match=f"'{parameter}' parameter of fetch_{name}"):
        fetch(name, **argument)
