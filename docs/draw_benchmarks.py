"""Charts at the top of the benchmark pages, drawn from the tables that the benchmarks wrote.

    python docs/draw_benchmarks.py

The configuration of the documentation calls this, so that a chart shows what its page says.
"""

import os
import re
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

DOCS = Path(__file__).resolve().parent
OURS, PEERS = "#0072b2", "#999999"


def sections(name):
    """The parts of a results page, from their headings in lower case to their text."""
    path = DOCS.parent / "examples" / "benchmarks" / f"{name}_results.md"
    text = path.read_text(encoding="utf-8")
    parts = re.split(r"^#+ (.*)$", text, flags=re.M)
    return {heading.lower(): part for heading, part in zip(parts[1::2], parts[2::2])}


def tables(name, heading):
    """The tables under a heading of a results page, as data frames of text."""
    rows, frames = [], []
    for line in [*sections(name)[heading].splitlines(), ""]:
        if line.startswith("|"):
            rows.append(
                [cell.strip().strip("*") for cell in line.strip("|").split("|")]
            )
        elif rows:
            frame = pd.DataFrame(rows[2:], columns=rows[0])
            frames.append(frame.set_index(rows[0][0]))
            rows = []
    return frames


def numbers(frame):
    """What stands before an error or a bracket, as numbers."""
    first = frame.map(lambda cell: re.split(r" [±(]", cell)[0].strip("*") or "nan")
    found = first.apply(pd.to_numeric, errors="coerce")
    if found.isna().all(axis=None):
        raise ValueError(
            f"a chart would be empty: no numbers in {first.iloc[0].tolist()}"
        )
    return found


def likelihood():
    """Bits a dimension against the time to fit, on two jittered tables; mean ranks on all."""
    bits, seconds = (
        numbers(tables("likelihood", heading)[2])
        for heading in ("bits per dimension", "processor seconds to fit")
    )
    figure, axes = plt.subplots(1, 3, figsize=(10, 4.2), layout="constrained")
    colors = dict(
        zip(bits.columns, [OURS, *plt.colormaps["Set2"].colors, "#444444", "#aa4499"])
    )
    markers = dict(zip(bits.columns, "osDv^<>phX*"))
    for axis, row in zip(axes, ["magic-jittered, test", "turbine-jittered, heldout"]):
        for method in bits.columns:
            x, y = max(seconds.loc[row, method], 0.05), bits.loc[row, method]
            axis.scatter(
                x, y, s=50, color=colors[method], marker=markers[method], label=method, zorder=2
            )  # fmt: skip
        best = bits.loc[row].min()  # the picture is of those that come near it
        axis.set(ylim=(best - 0.02, best + 0.22), xlim=(5, 80), xscale="log")
        axis.set_xticks([5, 10, 20, 40, 80], ["5", "10", "20", "40", "80"])
        axis.minorticks_off()
        axis.set(title=row, xlabel="processor seconds to fit")
        axis.grid(color="#eeeeee")
    axes[0].set_ylabel("bits a dimension, lower is better")
    ranks = bits.dropna(axis=1).rank(axis=1).mean()  # of those that have all lines
    mean_ranks(axes[2], ranks, f"mean rank, {len(bits)} jittered tables")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=6, fontsize=8, frameon=False
    )
    return figure


def outliers():
    """Mean ranks of the detectors, over all tables and where outliers are of one kind."""
    headings = [
        heading for heading in sections("outliers") if heading.endswith("mean ranks")
    ]
    figure, axes = plt.subplots(
        len(headings),
        2,
        figsize=(10, 3.8 * len(headings)),
        layout="constrained",
        width_ratios=[2, 3],
        squeeze=False,
    )
    for (left, right), heading in zip(axes, headings):
        protocol = heading.rpartition(":")[0] or "all tables"
        ranks = numbers(tables("outliers", heading)[0])
        mean_ranks(left, ranks.loc["all"], f"mean rank by ROC, {protocol}")
        by_kind(right, ranks.drop(index="all"))
    return figure


def regression():
    """Negative log-likelihood less that of skflow, of the methods with a density."""
    frame = numbers(
        tables("regression", "negative log-likelihood of the test rows, nats a row")[0]
    ).drop(columns="splits")
    return beside_ours(
        frame.sub(frame["skflow"], axis=0),
        "negative log-likelihood less skflow's, nats",
    )


def missing_values():
    """The score of draws, relative to that of skflow."""
    heading = next(
        name for name in sections("missing_values") if "ranked probability" in name
    )
    frame = tables("missing_values", heading)[0].reset_index()
    keys = ["dataset", "mechanism", "missing"]
    labels = frame[keys].agg(", ".join, axis=1)
    scores = numbers(frame.drop(columns=[*keys, "seeds"])).set_axis(labels)
    return beside_ours(
        scores.div(scores["skflow"], axis=0), "CRPS, in times of skflow's"
    )


def mixed():
    """Held-out scores less that of skflow, where they compare."""
    text = (DOCS / "benchmarks" / "mixed.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    frame = pd.DataFrame(rows[2:], columns=rows[0]).set_index("table")
    scores = frame.map(lambda cell: float(cell.split(",")[0]))
    scores = scores.drop(index=["credit", "default"]).replace(-np.inf, np.nan)
    return beside_ours(
        scores.sub(scores["skflow"], axis=0), "held-out score less skflow's, nats a row"
    )


def beside_ours(frame, label):
    """A line for each table, a mark for each method; skflow is the vertical line."""
    frame = frame.dropna(axis=1, how="all")
    ours = frame["skflow"].iloc[0]
    height = 2.0 + 0.3 * len(frame)
    figure, axis = plt.subplots(figsize=(7, height), layout="constrained")
    axis.axvline(ours, color=OURS, linewidth=2, label="skflow")
    colors = plt.colormaps["tab10"].colors
    for i, method in enumerate(frame.columns.drop("skflow")):
        style = dict(marker="osDv^<>phX*d"[i], color=colors[(i + 1) % 10])
        axis.plot(frame[method], frame.index, linestyle="", label=method, **style)
    axis.set_ylim(len(frame) - 0.5, -0.5)
    axis.tick_params(axis="y", labelsize=9)
    axis.grid(axis="y", color="#eeeeee")
    axis.set_xlabel(label)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def by_kind(axis, ranks):
    axis.imshow(ranks, cmap="RdYlBu_r", alpha=0.6, aspect="auto")
    axis.set_xticks(
        range(ranks.shape[1]), ranks.columns, rotation=35, ha="right", fontsize=8
    )
    axis.set_yticks(range(len(ranks)), ranks.index, fontsize=8)
    for i, j in np.ndindex(ranks.shape):
        text = f"{ranks.iloc[i, j]:.1f}"
        axis.text(j, i, text, ha="center", va="center", fontsize=8)
    axis.set_title("by kind of outlier", fontsize=10)


def speed():
    """A training step: how many times as long the fastest library takes."""
    frame = tables("speed", "training step, 1 thread")[0].reset_index()
    labels = frame["flow"] + ", " + frame.iloc[:, 0]
    factors = numbers(frame[["fastest of the four"]]).iloc[:, 0]
    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    bars = axis.barh(labels, factors, color=OURS)
    axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axis.margins(x=0.08)
    axis.axvline(1, color="#444444", linewidth=1)
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=8)
    axis.set(
        xlabel="time of the fastest of zuko, nflows, normflows and FrEIA, in times of skflow's",
        title="a training step, 1 thread; flow, (columns, rows of a batch, layers)",
    )
    return figure


def large():
    """Time of a default fit by rows and by columns."""
    figure, axes = plt.subplots(
        1, 2, figsize=(8.5, 3), layout="constrained", sharey=True
    )
    for axis, name, title in zip(
        axes, ("rows", "columns"), ("ten columns", "500 rows")
    ):
        seconds = tables("large", name)[0]["seconds"].astype(float)
        axis.loglog(seconds.index.astype(int), seconds, "o-", color=OURS)
        axis.set(xlabel=name, title=title)
        axis.grid(color="#eeeeee")
    axes[0].set_ylabel("processor seconds of a default fit")
    return figure


def search():
    """A structure search: how many times as fast as the loop."""
    one = tables("search", "one core")[0]["times as fast, processor"]
    two = tables("search", "two cores: processes")[0]["times as fast, wall"]
    one = numbers(one.to_frame()).iloc[:, 0]
    two = numbers(two.to_frame()).iloc[:, 0]
    used = next(name for name in one.index if "in use" in name)
    alone = next(name for name in one.index if "1 to 1" in name and "16" not in name)
    shown = {
        "the loop": one["loop"],
        "skflow, one candidate at a time": one[alone],
        "skflow": one[used],
        "skflow, n_jobs=2": two["skflow, n_jobs=2"],
    }
    figure, axis = plt.subplots(figsize=(8, 2.4), layout="constrained")
    bars = axis.barh(list(shown), list(shown.values()), color=[PEERS, OURS, OURS, OURS])
    axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.margins(x=0.08)
    axis.invert_yaxis()
    axis.set(xlabel="times as fast as the loop, at the paper's setting")
    return figure


def mean_ranks(axis, ranks, title):
    ranks = ranks.sort_values(ascending=False)
    colors = [OURS if name.startswith("skflow") else PEERS for name in ranks.index]
    bars = axis.barh(ranks.index, ranks, color=colors)
    axis.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axis.tick_params(axis="y", labelsize=8)
    axis.set(xlim=(0, ranks.max() * 1.15), xlabel="1 is the best")
    axis.set_title(title, fontsize=10)


def draw(directory=DOCS / "_static"):
    for chart in (
        likelihood,
        outliers,
        regression,
        mixed,
        missing_values,
        speed,
        search,
        large,
    ):
        figure = chart()
        figure.savefig(directory / f"benchmark_{chart.__name__}.png", dpi=130)
        plt.close(figure)


if __name__ == "__main__":
    draw()
