"""Data sets of the outlier benchmark: labelled tables, rare classes, and planted outliers.

``load(name, protocol, seed, data_home)`` returns the rows to fit to and new rows, each as a pair of
``X`` and a boolean array that marks the outliers. The seed decides which rows are drawn, what is
planted, and the split.

In the protocol "unsupervised" a detector is fitted to 60 % of a table, with its outliers, of which
at most 5 % of the rows are. In "one-class" it is fitted to half of the ordinary rows, and the
others and all outliers are new. The tables of OddBench have a protocol of their own: they come with
ordinary rows to fit to, and with new rows.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.datasets
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

#: Part of the rows that are outliers, at most (a rare class may have fewer rows).
CONTAMINATION = 0.05
#: Larger tables are subsampled.
MAX_ROWS = 5000
#: Part of a table that is new in the protocol "unsupervised".
NEW_FRACTION = 0.4
PROTOCOLS = ("one-class", "unsupervised", "oddbench")


def _joined(inliers, outliers):
    """Rows and marks."""
    marks = np.arange(len(inliers) + len(outliers)) >= len(inliers)
    return np.concatenate([inliers, outliers]), marks


def _unsupervised(inliers, outliers, rng):
    n_outliers = round(len(inliers) * CONTAMINATION / (1 - CONTAMINATION))
    parts = [inliers, rng.permutation(outliers)[:n_outliers]]
    cuts = [round(NEW_FRACTION * len(part)) for part in parts]
    fitted = _joined(*(part[cut:] for part, cut in zip(parts, cuts)))
    return fitted, _joined(*(part[:cut] for part, cut in zip(parts, cuts)))


def _one_class(inliers, outliers, rng):
    half = len(inliers) // 2
    outliers = rng.permutation(outliers)[:MAX_ROWS]
    return _joined(inliers[:half], outliers[:0]), _joined(inliers[half:], outliers)


# ------------------------------------------------------------------------------------------------
# Tables of which some classes are the outliers


def _fetch(name, data_home):
    from skflow import datasets

    bunch = getattr(datasets, f"fetch_{name}")(data_home=data_home)
    return np.asarray(bunch.data, dtype=float), bunch.target


def _by_class(data, target, is_outlier, rng):
    rare = is_outlier(np.asarray(target))
    return data[~rare], data[rare]


def _bundled(name, is_outlier, rng, data_home):
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    return _by_class(bunch.data, bunch.target, is_outlier, rng)


def _stored(folder, name, data_home):
    home = data_home or os.environ.get("SKFLOW_DATA") or "../shared/data"
    return np.load(Path(home) / folder / f"{name}.npz")


def _labelled(name, rng, data_home):
    table = _stored("outliers", name, data_home)
    return _by_class(table["X"].astype(float), table["y"], _is(1), rng)


def _paper(name, is_outlier, rng, data_home):
    return _by_class(*_fetch(name, data_home), is_outlier, rng)


def _is(*classes):
    return lambda target: np.isin(target, classes)


LABELLED = (
    "annthyroid breastw cardiotocography donors fault glass ionosphere landsat musk optdigits "
    "stamps thyroid vertebral"
).split()
#: A random forty of the 790 tables of OddBench.
ODDBENCH = """
    AcademicAnomaly AgriculturalLandUse BackupSession BettingIntegrity BikeSalesAge
    BondMarketAnomalies BroodDesertion CometAnomaly DeveloperSurvey EcoregionSoil
    EnvironmentalAnomalies EnvironmentalSensorReadings ErrorDetection ExpenditureCategory
    FacilityViolation GazeTracking GeographicSeverity HeartMurmurDetection KubernetesPodPhase
    LargeWoodMeasurement LibraryCheckout MaritimeSafety MarketingTactics MedicalDICOMImage
    MineralComposition NetworkResponseAnomalies OrdinanceViolations PANSSCountryAnomalies
    RealEstateBlockType RecordingDurationAnalysis SignalAnalysis SurveyAnomalyResponse
    TreadmillStatus TrialType VehicleGPS ViralInfection VolleyballMatch WindowsEditionAnomaly
    WineClassification WineFraud
""".split()
CLASSES = {
    "breast-cancer": partial(_bundled, "breast_cancer", _is(0)),  # malignant
    "wine": partial(_bundled, "wine", _is(0)),
    "iris": partial(_bundled, "iris", _is(2)),  # virginica
    "digits": partial(_bundled, "digits", _is(0)),
    "magic": partial(_paper, "magic", _is("h")),  # hadrons among gammas
    "yeast": partial(_paper, "yeast", _is("VAC", "POX", "ERL")),  # of 10 classes the least
}


# ------------------------------------------------------------------------------------------------
# Outliers of four kinds planted into the paper's tables


def _mixture(Z, rng):
    """Gaussian mixture of the ordinary rows, the number of components by BIC."""
    seed = int(rng.integers(2**31))
    candidates = [
        GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(Z) for k in (1, 2, 4, 7, 10)
    ]
    return min(candidates, key=lambda model: model.bic(Z))


def _local(Z, n, rng):
    """Rows of the mixture with covariances five times as large."""
    mixture = _mixture(Z, rng)
    mixture.covariances_ = 5 * mixture.covariances_
    return mixture.sample(n)[0]


def _cluster(Z, n, rng):
    """Rows of one component, moved by two standard deviations in every column."""
    mixture = _mixture(Z, rng)
    k = rng.choice(mixture.n_components, p=mixture.weights_)
    mean = mixture.means_[k] + 2 * rng.choice([-1, 1], Z.shape[1])
    return rng.multivariate_normal(mean, mixture.covariances_[k], n)


def _global(Z, n, rng):
    """Rows spread evenly over a box that is a tenth wider than the data."""
    return rng.uniform(1.1 * Z.min(axis=0), 1.1 * Z.max(axis=0), (n, Z.shape[1]))


def _dependency(Z, n, rng):
    """Every column drawn by itself from its values: usual values that do not go together."""
    return np.column_stack([rng.choice(column, n) for column in Z.T])


KINDS = {"local": _local, "global": _global, "dependency": _dependency, "cluster": _cluster}


def _rounded(rows, X):
    """Rows with as many decimals as the columns of X have, so that these give nothing away."""
    columns = []
    for column, values in zip(rows.T, X.T):
        exact = [k for k in range(7) if np.abs(values.round(k) - values).max() < 1e-9]
        columns.append(column.round(exact[0]) if exact else column)
    return np.column_stack(columns)


def _planted(table, kind, rng, data_home):
    X, _ = _fetch(table, data_home)
    X = rng.permutation(X)[:MAX_ROWS]
    scaler = StandardScaler().fit(X)
    n = round(len(X) * CONTAMINATION / (1 - CONTAMINATION))
    outliers = KINDS[kind](scaler.transform(X), n, rng)
    return X, _rounded(scaler.inverse_transform(outliers), X)


# ------------------------------------------------------------------------------------------------

PAPER_TABLES = ("magic", "turbine", "sonar", "yeast")
TABLES = {
    "labelled": {name: partial(_labelled, name) for name in LABELLED},
    "classes": CLASSES,
} | {
    kind: {f"{table}, {kind}": partial(_planted, table, kind) for table in PAPER_TABLES}
    for kind in KINDS
}
GROUPS = {group: list(tables) for group, tables in TABLES.items()} | {"oddbench": ODDBENCH}
NAMES = [name for names in GROUPS.values() for name in names]


def load(name, protocol, seed, data_home=None):
    """Rows to fit to and new ones, each as rows ``(n, d)`` and marks ``(n,)``."""
    if protocol == "oddbench":
        table = _stored("oddbench", name, data_home)
        X, marks = table["train"].astype(float), table["test_labels"] == 1
        return (X, np.zeros(len(X), bool)), (table["test"].astype(float), marks)
    rng = np.random.default_rng([seed, *name.encode()])
    make = next(tables[name] for tables in TABLES.values() if name in tables)
    inliers, outliers = make(rng, data_home)
    inliers = rng.permutation(inliers)[:MAX_ROWS]
    split = {"one-class": _one_class, "unsupervised": _unsupervised}[protocol]
    parts = split(inliers, outliers, rng)
    orders = [rng.permutation(len(marks)) for _, marks in parts]
    return tuple((X[order], marks[order]) for (X, marks), order in zip(parts, orders))
