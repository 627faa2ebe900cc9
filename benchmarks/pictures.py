"""Draw the two pictures of docs/performance.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

import steps

LOADER_COLOR, PEER_COLOR, INK = "#c2410c", "#64748b", "#1e293b"
SERIES_COLORS = (PEER_COLOR, LOADER_COLOR, "#0369a1", "#15803d")
DROPS_DUPLICATES = {steps.FIRST_LOAD, *(steps.PEER_NAMES[peer] for peer in steps.DEDUPLICATES)}
STYLE = {
    "font.family": "DejaVu Sans",  # bundled with matplotlib, so the same on every machine
    "font.size": 9,
    "axes.edgecolor": "#cbd5e1",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e2e8f0",
    "axes.axisbelow": True,
    "svg.hashsalt": "elt",  # equal figures give equal bytes
}


def count(rows: float, _: object = None) -> str:
    """Format a number of rows, such as 116 k or 1 M."""
    return f"{rows / 1e6:g} M" if rows >= 1e6 else f"{rows / 1e3:.0f} k"


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", facecolor="white")


def draw_peers(sizes: dict[str, dict], path: Path) -> None:
    r"""Draw the ratios to `\copy` for each size, and the peak memory at the largest size.

    Args:
        sizes: Figures by number of rows and then by name of the step. The picture omits sizes
            without peers.
        path: The picture to write.
    """
    names = [steps.COPY, steps.FIRST_LOAD, *steps.PEER_NAMES.values()]
    compared = {
        rows: by_name for rows, by_name in sizes.items() if any(n in by_name for n in names[2:])
    }
    if not compared:
        return
    with rc_context(STYLE):
        widths = [3] * len(compared) + [2.2]
        size = (9.5 if len(widths) > 3 else 8.5, 0.34 * len(names) + 1.2)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(widths), sharey=True, width_ratios=widths)
        for panel, (rows, by_name) in zip(panels, compared.items(), strict=False):
            ratios = [by_name.get(name, {}).get("ratio") for name in names]
            _draw_dots(panel, names, ratios, lambda ratio: f"{ratio:.1f}")
            panel.axvline(1, color=PEER_COLOR, linewidth=0.8)
            panel.set_title(f"{int(rows):,} rows", fontsize=9)
            panel.set_xlabel(r"seconds, \copy = 1")
        largest = list(compared.values())[-1]
        memory = [largest.get(name, {}).get("peak_mb") for name in names]
        _draw_dots(panels[-1], names, memory, lambda megabytes: f"{megabytes:,.0f}")
        panels[-1].set_title(f"{int(list(compared)[-1]):,} rows", fontsize=9)
        panels[-1].set_xlabel("peak memory, MB")
        labels = ["this loader" if name == steps.FIRST_LOAD else name for name in names]
        panels[0].set_yticks(range(len(names)), labels)
        panels[0].invert_yaxis()
        panels[0].get_yticklabels()[names.index(steps.FIRST_LOAD)].set(
            color=LOADER_COLOR, fontweight="bold"
        )
        figure.supxlabel(
            "filled: drops duplicates   hollow: keeps them", fontsize=8, color=PEER_COLOR
        )
        _save(figure, path)


def _draw_dots(
    panel: Axes,
    names: Sequence[str],
    values: Sequence[float | None],
    label: Callable[[float], str],
) -> None:
    """Draw a labelled dot for each value, filled if the tool drops duplicates, else hollow."""
    panel.set_xscale("log")
    present = [value for value in values if value]
    panel.set_xlim(min(present) / 1.6, max(present) * 4)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.tick_params(which="both", length=0)
    for row, (name, value) in enumerate(zip(names, values, strict=True)):
        color = LOADER_COLOR if name == steps.FIRST_LOAD else PEER_COLOR
        if value is None:
            panel.text(0.5, row, "left out", transform=panel.get_yaxis_transform(),
                       ha="center", va="center", color=PEER_COLOR, fontsize=8)  # fmt: skip
            continue
        inside = color if name in DROPS_DUPLICATES else "white"
        panel.plot(value, row, "o", color=color, markerfacecolor=inside, markersize=6)
        panel.annotate(label(value), (value, row), (6, 0), textcoords="offset points",
                       va="center", color=color, fontsize=8)  # fmt: skip


def draw_growth(
    series: dict[str, list[tuple[int, float]]], slopes: dict[str, float], path: Path
) -> None:
    """Draw seconds over rows on log-log axes, one line per series with its slope.

    Args:
        series: Points (rows, seconds) by label.
        slopes: Slope of each series by label.
        path: The picture to write.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6.2, 3.8), layout="constrained")
        panel = figure.subplots()
        for (label, points), color in zip(series.items(), SERIES_COLORS, strict=False):
            rows, seconds = zip(*points, strict=True)
            dashes = "--" if label == steps.COPY else "-"
            panel.plot(rows, seconds, "o" + dashes, color=color, markersize=4,
                       label=f"{label}, slope {slopes[label]:.2f}")  # fmt: skip
        sizes = sorted({rows for points in series.values() for rows, _ in points})
        middle = statistics.median(seconds for points in series.values() for _, seconds in points)
        center = (sizes[0] * sizes[-1]) ** 0.5
        linear = [middle * rows / center for rows in (sizes[0], sizes[-1])]
        panel.plot(
            (sizes[0], sizes[-1]), linear, ":", color=PEER_COLOR, linewidth=1, label="slope 1"
        )
        panel.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds")
        # Omit the label of a size if it would overlap with the label of the next size.
        apart = [a for a, b in zip(sizes, [*sizes[1:], math.inf], strict=True) if b > 1.5 * a]
        panel.set_xticks(apart, [count(rows) for rows in apart])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(which="minor", length=0)
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.legend(frameon=False, fontsize=8)
        _save(figure, path)
