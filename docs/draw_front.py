"""The picture of the front page and the README, and the logo.

    python docs/draw_front.py

Writes ``_static/front-light.png``, ``front-dark.png`` and ``logo.svg``. They are kept in the
repository, because the README shows them where nothing is built.
"""

import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from skflow import CouplingFlowDensity, FlowOutlierDetector, FlowRegressor, Training

STATIC = Path(__file__).resolve().parent / "_static"
BLUE = "#0072b2"
#: Ink, blue, orange and green for a light and for a dark page.
COLORS = {
    "light": ("#24292f", BLUE, "#d55e00", "#00805d"),
    "dark": ("#d6dbe0", "#5ab4e6", "#f0903c", "#3cc79d"),
}
X_NAME, Y_NAME = "flavanoids", "color_intensity"
LIMITS = dict(xlim=(0, 5.6), ylim=(0, 13.8))
ROW_OF_PREDICTION, KNOWN_COLOUR = 3.0, 6.5


def answers():
    """What four estimators say of two measurements of 178 wines."""
    table = load_wine(as_frame=True).data[[X_NAME, Y_NAME]]
    flow = CouplingFlowDensity(bounds=(0, None), random_state=0).fit(table)
    x, y = np.meshgrid(
        np.linspace(0.02, LIMITS["xlim"][1], 120),
        np.linspace(0.05, LIMITS["ylim"][1], 120),
    )
    cells = np.column_stack([x.ravel(), y.ravel()])
    density = np.exp(_of_array(flow.score_samples, table, cells)).reshape(x.shape)
    detector = FlowOutlierDetector(random_state=0).fit(table)
    report = detector.report(table, n=1)
    regressor = FlowRegressor(
        bounds=(0, None),
        mean_estimator=None,
        training=Training(activation="tanh"),
        random_state=0,
    )
    regressor.fit(table[[X_NAME]], table[Y_NAME])
    at = np.linspace(0.4, 3.9, 80)
    asked = table.iloc[[0] * len(at)].assign(**{X_NAME: at})[[X_NAME]]
    band = regressor.predict_quantiles(asked, [0.05, 0.5, 0.95])
    missing = table.iloc[[0]].assign(**{X_NAME: np.nan, Y_NAME: KNOWN_COLOUR})
    draws = pd.concat(flow.sample_given(missing, 4000, random_state=0))[
        X_NAME
    ].to_numpy()
    return table, (x, y, density), report, (at, band), draws


def _of_array(method, table, values):
    return method(table.iloc[[0] * len(values)].assign(**dict(zip(table, values.T))))


def front(answer, colors, columns):
    """Four panels: one table, four questions."""
    table, (x, y, density), report, (at, band), draws = answer
    ink, blue, orange, green = colors
    rows = 4 // columns
    style = {"text.color": ink, "axes.edgecolor": ink, "xtick.color": ink}
    style |= {"axes.labelcolor": ink, "ytick.color": ink, "font.size": 10}
    style |= {"axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(3.25 * columns, 3.15 * rows),
            sharex=True,
            sharey=True,
            layout="constrained",
        )
        titles = ["How likely is it?", "What is unusual?"]
        titles += ["What will it be?", "What is missing?"]
        for axis, title in zip(axes.flat, titles):
            axis.scatter(*table.to_numpy().T, s=7, color=ink, alpha=0.45, lw=0)
            axis.set(**LIMITS, xticks=[0, 2, 4], yticks=[0, 5, 10])
            axis.set_title(title, loc="left", fontsize=13, fontweight="bold")
            axis.patch.set_alpha(0)
        for axis in np.atleast_2d(axes)[-1]:
            axis.set_xlabel("flavanoids")
        for axis in np.atleast_2d(axes)[:, 0]:
            axis.set_ylabel("colour intensity")
        likely, unusual, predicted, missing = axes.flat
        levels = density.max() * np.array([0.03, 0.1, 0.25, 0.5, 1.01])
        shades = [
            (*plt.matplotlib.colors.to_rgb(blue), a) for a in (0.15, 0.3, 0.5, 0.75)
        ]
        likely.contourf(x, y, density, levels, colors=shades, zorder=0)
        say(likely, "density of every row", blue)
        row = table.loc[report.index[0]]
        unusual.scatter(*row, s=110, facecolors="none", edgecolors=orange, lw=2.2)
        reason = report.iloc[0]
        text = f"p = {reason.pvalue:.2f}, because of\n{reason.column}"
        say(unusual, text, orange)
        predicted.fill_between(at, *band[:, [0, 2]].T, color=green, alpha=0.3, lw=0)
        predicted.plot(at, band[:, 1], color=green, lw=2)
        say(predicted, "median, 90 % interval", green)
        heights, edges = np.histogram(draws, np.linspace(0, 5.6, 71), density=True)
        missing.axhline(KNOWN_COLOUR, color=blue, lw=1, ls=":")
        missing.stairs(
            KNOWN_COLOUR + 3.4 * heights / heights.max(),
            edges,
            baseline=KNOWN_COLOUR,
            fill=True,
            color=blue,
            alpha=0.65,
        )
        say(missing, f"colour {KNOWN_COLOUR}: flavanoids?", blue)
    return figure


def say(axis, text, color):
    axis.text(
        0.97, 0.97, text, color=color, transform=axis.transAxes, ha="right", va="top"
    )


def logo():
    """Two bent clouds that flow out of one: curves of equal density, as SVG."""
    t = np.linspace(0, 2 * np.pi, 60)
    curves = []
    for radius, opacity in zip((1.0, 0.68, 0.36), (0.35, 0.65, 1.0)):
        u, v = 1.5 * radius * np.cos(t), 0.62 * radius * np.sin(t)
        bent = 32 + 17 * u, 37 - 19 * (v + 0.42 * u**2 - 0.35)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(*bent))
        curves.append(
            f'<polygon points="{points}" fill="{BLUE}" fill-opacity="{opacity}"/>'
        )
    inside = "\n  ".join(curves)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="2 8 60 60" role="img" '
        f'aria-label="skflow">\n  {inside}\n</svg>\n'
    )


if __name__ == "__main__":
    (STATIC / "logo.svg").write_text(logo(), encoding="utf-8")
    answer = answers()
    for theme, colors in COLORS.items():
        for columns, name in ((4, "front"), (2, "front-narrow")):
            figure = front(answer, colors, columns)
            figure.savefig(STATIC / f"{name}-{theme}.png", dpi=150, transparent=True)
            plt.close(figure)
