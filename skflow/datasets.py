"""The four data sets of "Structure Search for Normalizing Flows" (Gonsior, Mücke, Morik, 2021).

Each ``fetch_*`` function reads a prepared table, ``<name>.csv.gz``, from a directory. If the table
is absent, the archive of the UCI Machine Learning Repository is downloaded, converted into the same
table and kept there. The SHA-256 is always checked, so that all figures are on the same rows.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch
from sklearn.utils._optional_dependencies import check_pandas_support
from sklearn.utils._param_validation import validate_params

from ._uci import TABLES, Table, load

__all__ = ["fetch_magic", "fetch_sonar", "fetch_turbine", "fetch_yeast"]

_RULES: dict[str, list] = {
    "data_home": [str, os.PathLike, None],
    "as_frame": ["boolean"],
    "return_X_y": ["boolean"],
    "download_if_missing": ["boolean"],
}
_RANDOM_SPLIT = """train_indices, test_indices : ndarray of shape ({n_train},), ({n_test},)
        With ``p = numpy.random.RandomState(0).permutation({n_rows})`` these are
        ``p[{n_test}:]`` and ``p[:{n_test}]``."""
_TURBINE_SPLIT = """train_indices, test_indices : ndarray of shape (22191,), (14542,)
        The years 2011-2013, and 2014-2015, which have another distribution.
    fit_indices, heldout_indices : ndarray of shape (19972,), (2219,)
        The training years in two parts, for scores in distribution. With
        ``p = numpy.random.RandomState(1).permutation(22191)`` the rows held out are
        ``p[:2219]`` and the rows to fit are ``p[2219:]``."""


def _loader(name: str, about: str, target: str, splits: str = _RANDOM_SPLIT) -> Callable[..., Any]:
    """Return the function that fetches a table, with its docstring filled in."""
    table = TABLES[name]
    n_features, n_test = len(table.features), table.n_rows // 10
    target_type = f"{{ndarray, Series}} of shape ({table.n_rows},)" if table.class_type else "None"

    def fetch(
        *,
        data_home: str | PathLike | None = None,
        as_frame: bool = False,
        return_X_y: bool = False,
        download_if_missing: bool = True,
    ) -> Any:
        """{about}

        Parameters
        ----------
        data_home : str or path-like, default=None
            Directory of ``{name}.csv.gz``. The default is the environment variable ``SKFLOW_DATA``
            or, if it is not set, the folder ``skflow`` in scikit-learn's data directory.
        as_frame : bool, default=False
            Whether to return pandas objects. An ImportError is raised if pandas is not installed.
        return_X_y : bool, default=False
            Whether to return ``(data, target)`` instead of a Bunch.
        download_if_missing : bool, default=True
            Whether to download data that are not in the directory, or to raise an error.

        Returns
        -------
        dataset : :class:`~sklearn.utils.Bunch`
            data : {{ndarray, DataFrame}} of shape ({n_rows}, {n_features})
                The features, float64, unscaled.
            target : {target_type}
                {target}
            {splits}
            batch_size : int
                {batch_size}, the paper's.
            feature_names : list of str
                Names of the columns of ``data``.
            frame : DataFrame of shape ({n_rows}, {n_columns}), None without ``as_frame``
                Features and target in one table.
            DESCR : str
                This description.
        (data, target) : tuple if ``return_X_y=True``

        Raises
        ------
        OSError
            If the data are absent and not downloaded, or their checksum is wrong.

        Examples
        --------
        >>> from skflow.datasets import fetch_{name}
        >>> X, y = fetch_{name}(return_X_y=True)  # doctest: +SKIP
        >>> X.shape  # doctest: +SKIP
        ({n_rows}, {n_features})
        """
        if as_frame:
            check_pandas_support(f"fetch_{name}(as_frame=True)")
        if data_home is None:
            data_home = os.environ.get("SKFLOW_DATA") or Path(get_data_home()) / "skflow"
        text = load(Path(data_home).expanduser() / f"{name}.csv.gz", table, download_if_missing)
        dataset = _bunch(table, text, as_frame, fetch.__doc__)
        return (dataset.data, dataset.target) if return_X_y else dataset

    fetch.__name__ = fetch.__qualname__ = f"fetch_{name}"
    # there is no docstring with -OO
    fetch.__doc__ = inspect.cleandoc(fetch.__doc__ or "").format(
        name=name,
        about=inspect.cleandoc(about),
        target=target,
        target_type=target_type,
        splits=splits.format(n_rows=table.n_rows, n_test=n_test, n_train=table.n_rows - n_test),
        batch_size=table.batch_size,
        n_rows=table.n_rows,
        n_features=n_features,
        n_columns=n_features + (table.class_type is not None),
    )
    return validate_params(_RULES, prefer_skip_nested_validation=True)(fetch)


def _bunch(table: Table, text: str, as_frame: bool, description: str | None) -> Bunch:
    """Return the data set in a text."""
    rows = [line.split(",") for line in text.splitlines()[1:]]
    data = np.array([row[: len(table.features)] for row in rows], dtype=np.float64)
    target: Any = None
    frame = None
    if table.class_type is not None:
        target = np.array([row[-1] for row in rows], dtype=table.class_type)
    if as_frame:
        import pandas

        data = frame = pandas.DataFrame(data, columns=table.features)
        if target is not None:
            target = pandas.Series(target, name="class")
            frame = data.assign(**{"class": target})
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=list(table.features),
        batch_size=table.batch_size,
        DESCR=description,
        **table.split(table.n_rows),
    )


fetch_magic = _loader(
    "magic",
    """Fetch the MAGIC Gamma Telescope data: 19020 rows, 10 features, 2 classes.

    Parameters of simulated images of particle showers that a gamma ray or a hadron set off.
    Source: R. Bock (2004), UCI Machine Learning Repository, https://doi.org/10.24432/C52C8B,
    licence CC BY 4.0.

    The prepared table has the rows of UCI's file in another order. A download is reordered so that
    the test rows are the same; within the two parts the order is UCI's, and some values differ from
    the prepared ones in the last bit.
    """,
    '``"g"`` (gamma, 12332 rows) or ``"h"`` (hadron, 6688 rows).',
)
fetch_turbine = _loader(
    "turbine",
    """Fetch the Gas Turbine CO and NOx Emission data: 36733 rows, 10 features.

    Hourly means of the sensors of a gas turbine, 2011 to 2015, in order of time. The source has
    eleven columns and the paper uses ten without saying which; ``data`` has the first ten and
    leaves out the last, ``NOX``. Source: H. Kaya, P. Tüfekci, E. Uzun (2019), UCI Machine Learning
    Repository, https://doi.org/10.24432/C5WC95, licence CC BY 4.0.
    """,
    "There is none.",
    _TURBINE_SPLIT,
)
fetch_sonar = _loader(
    "sonar",
    """Fetch the Connectionist Bench sonar data: 208 rows, 60 features, 2 classes.

    The energy, from 0 to 1, of an echo in 60 frequency bands; rows are sorted by class. Source:
    T. Sejnowski, R. Gorman, UCI Machine Learning Repository, https://doi.org/10.24432/C5T01Q,
    licence CC BY 4.0.
    """,
    "The integers 1 (rock, 97 rows) and -1 (mine, 111 rows).",
)
fetch_yeast = _loader(
    "yeast",
    """Fetch the yeast data: 1484 rows, 8 features, 10 classes.

    Scores of the amino acid sequence of proteins, and their place in the cell. Values are on a grid
    of 0.01; ``erl`` and ``pox`` take very few. Source: K. Nakai (1991), UCI Machine Learning
    Repository, https://doi.org/10.24432/C5KG68, licence CC BY 4.0.
    """,
    'Strings of three characters, such as ``"CYT"``, the most frequent.',
)
