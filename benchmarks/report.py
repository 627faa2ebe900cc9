"""Figures, tables, pictures: everything that is told of a run."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

import works
from measure import Cost

DOCS = works.PROJECT / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
# What of the results grows on the second picture: its label, the part, the name of the work.
GROWING = (
    (works.COPY, "load", works.COPY),
    ("load", "load", works.FIRST),
    ("transform: first dbt run", "transform", "first dbt run"),
    ("test: dbt test", "transform", "dbt test"),
)
SLOPE_FROM = 1_000_000  # below, the start of processes weighs more than the rows


def figures(costs: Sequence[Cost], yardstick: Sequence[Cost]) -> dict:
    """Seconds of all rounds, and what is reported of them.

    Args:
        costs: of one kind of work, in the order of the rounds.
        yardstick: of `\\copy` in the same rounds; more of them where `costs` was broken off.
    """
    pairs = zip(costs, yardstick, strict=False)
    server = [cost.server_cpu for cost in costs if cost.server_cpu is not None]
    return {
        "seconds": [round(cost.seconds, 3) for cost in costs],
        "ratio": round(statistics.median(cost.seconds / base.seconds for cost, base in pairs), 2),
        "cpu_seconds": round(statistics.median(cost.cpu for cost in costs), 2),
        "server_cpu_seconds": round(statistics.median(server), 2) if server else None,
        "peak_mb": round(max(cost.memory for cost in costs)),
    }


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table that reads well in a terminal and as Markdown; numbers stand to the right."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *rest])} |"

    return "\n".join(map(line, [head, rule, *lines]))


def load_table(sizes: dict[str, dict]) -> list[str]:
    """Headings and tables, one for each size, and below it what was left out."""
    head = ("work", "seconds", r"ratio to \copy", "CPU s", "server CPU s", "peak MB")
    parts = []
    for rows, by_name in sizes.items():
        lines = [_load_line(name, work) for name, work in by_name.items() if "seconds" in work]
        parts += [f"### {int(rows):,} rows", table(head, lines)]
        left_out = {name: work["left_out"] for name, work in by_name.items() if "left_out" in work}
        if left_out:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
            parts.append(f"Left out, because they take too long: {reasons}.")
    return parts


def _load_line(name: str, work: dict) -> tuple[str, ...]:
    server = work["server_cpu_seconds"]
    return (
        name,
        f"{statistics.median(work['seconds']):.2f}",
        f"{work['ratio']:.2f}",
        f"{work['cpu_seconds']:.2f}",
        "" if server is None else f"{server:.2f}",
        f"{work['peak_mb']:,}",
    )


def transform_table(sizes: dict[str, dict]) -> list[str]:
    """One table: a line for each kind of work, a column for each size, medians of seconds."""
    names = list(dict.fromkeys(name for by_name in sizes.values() for name in by_name))

    def median(work: dict | None) -> str:
        return f"{statistics.median(work['seconds']):.2f}" if work else ""

    lines = [(name, *(median(by.get(name)) for by in sizes.values())) for name in names]
    head = ("seconds", *(f"{int(rows):,} rows" for rows in sizes))
    return ["### Transform and test", table(head, lines)]


def dag_table(dag: dict[str, dict]) -> list[str]:
    """What the DAG took, what its commands took by hand, and the difference."""
    lines = [
        (name, f"{work['dag']:.1f}", f"{work['commands']:.1f}", f"{work['overhead']:.1f}")
        for name, work in dag.items()
    ]
    head = ("seconds", "the DAG", "its three commands", "the DAG above them")
    return ["### The DAG", table(head, lines)]


def growth(results: dict) -> dict[str, list[tuple[int, float]]]:
    """Per series the rows and median seconds of each size."""
    series = {}
    for label, part, name in GROWING:
        points = [
            (int(rows), statistics.median(by_name[name]["seconds"]))
            for rows, by_name in results.get(part, {}).items()
            if "seconds" in by_name.get(name, {})
        ]
        if len(points) > 1:
            series[label] = sorted(points)
    return series


def slope(points: Sequence[tuple[int, float]]) -> float:
    """Of the straight line through them on log-log scales, from SLOPE_FROM rows on: 1 is linear."""
    large = [point for point in points if point[0] >= SLOPE_FROM]
    used = large if len(large) > 1 else points
    rows, seconds = zip(*((math.log(x), math.log(y)) for x, y in used), strict=True)
    return statistics.linear_regression(rows, seconds).slope


def growth_table(series: dict[str, list[tuple[int, float]]]) -> list[str]:
    """Slopes, so that they can be read without the picture."""
    if not series:
        return []
    lines = [(label, f"{slope(points):.2f}") for label, points in series.items()]
    return ["### Growth", table(("seconds grow with the rows to the power of", "slope"), lines)]


def origin(results: dict) -> str:
    """One paragraph: when, on what, with what."""
    machine, postgres = results["machine"], results["postgres"]
    server = ", ".join(
        f"{name} {value}" for name, value in postgres.items() if name != "server_version"
    )
    versions = "; ".join(
        f"{component}: {', '.join(f'{name} {version}' for name, version in by_name.items())}"
        for component, by_name in results["versions"].items()
    )
    return (
        f"{results['date']}, {results['rounds']} rounds ({results['transform_rounds']} of the"
        f" transform) on data of seed {results['seed']}: "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['os']}, Python {results['python']}.\n"
        f"Postgres {postgres['server_version']}: {server}.\n"
        f"Versions by environment: {versions}."
    )


def text(results: dict) -> str:
    """All of it in Markdown that is read as it is."""
    parts = [origin(results), *load_table(results["load"])]
    if "transform" in results:
        parts += transform_table(results["transform"])
    if "dag" in results:
        parts += dag_table(results["dag"])
    return "\n\n".join([*parts, *growth_table(growth(results))])


def publish(name: str, results: dict) -> None:
    """Write the results, the pictures, and both into the page between its two markers."""
    file = Path(__file__).parent / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n")
    # Not before: a process starts with the memory of the one that started it as its peak.
    import pictures

    shown = []
    if results["load"]:
        pictures.draw_peers(results["load"], DOCS / "pictures" / "performance-load.svg")
        shown.append(
            r"![Seconds as a ratio to \copy, and peak memory](pictures/performance-load.svg)"
        )
    if series := growth(results):
        slopes = {label: slope(points) for label, points in series.items()}
        pictures.draw_growth(series, slopes, DOCS / "pictures" / "performance-growth.svg")
        shown.append("![Seconds over rows, both logarithmic](pictures/performance-growth.svg)")
    block = "\n\n".join([BEGIN, f"`make {name}`, {text(results)}", *shown, END])
    page = PAGE.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE} has to have the lines {BEGIN} and {END}, once each")
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, page, flags=re.DOTALL))
