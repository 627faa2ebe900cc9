"""Turn the measurements into figures, tables, pictures and the page docs/performance.md."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import steps
from measure import Cost

DOCS = steps.PROJECT / "docs"
PAGE = DOCS / "performance.md"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
# The lines of the growth picture: label, part of the results, name of the step.
GROWING = (
    (steps.COPY, "load", steps.COPY),
    ("load", "load", steps.FIRST_LOAD),
    ("transform: first dbt run", "transform", "first dbt run"),
    ("test: dbt test", "transform", "dbt test"),
)
SLOPE_FROM = 1_000_000  # rows; below, the start of processes dominates the time


def figures(costs: Sequence[Cost], yardstick: Sequence[Cost]) -> dict:
    r"""Summarise the rounds of one step.

    Args:
        costs: Costs of the step in the order of the rounds.
        yardstick: Costs of `\copy` in the same rounds. They may be more than `costs`, because a
            step that exceeds its time limit is not measured in later rounds.

    Returns:
        Seconds of all rounds, the median ratio to `\copy`, median CPU seconds of the process and
        of the server, and the peak memory in MB.
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
    """Format a Markdown table, aligned for a terminal; all columns but the first are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *rest])} |"

    return "\n".join(map(line, [head, rule, *lines]))


def load_table(sizes: dict[str, dict]) -> list[str]:
    """Return, for each size, a heading, a table and the peers that were left out."""
    head = ("step", "seconds", r"ratio to \copy", "CPU s", "server CPU s", "peak MB")
    parts = []
    for rows, by_name in sizes.items():
        lines = [_load_line(name, step) for name, step in by_name.items() if "seconds" in step]
        parts += [f"### {int(rows):,} rows", table(head, lines)]
        left_out = {name: step["left_out"] for name, step in by_name.items() if "left_out" in step}
        if left_out:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
            parts.append(f"Left out because of the time limit: {reasons}.")
    return parts


def _load_line(name: str, step: dict) -> tuple[str, ...]:
    server = step["server_cpu_seconds"]
    return (
        name,
        f"{_median(step):.2f}",
        f"{step['ratio']:.2f}",
        f"{step['cpu_seconds']:.2f}",
        "" if server is None else f"{server:.2f}",
        f"{step['peak_mb']:,}",
    )


def transform_tables(results: dict) -> list[str]:
    """Return tables of the transform's steps, of their ratios and of the dashboard's queries.

    Args:
        results: The results. This function reads the three parts that transform.py measures.
    """
    return [
        "### Transform and test",
        by_size("seconds", results["transform"], lambda step: f"{_median(step):.2f}"),
        by_size("ratio", results["transform_ratios"], "{:.2f}".format),
        "### Queries of the dashboard",
        by_size(
            "seconds", slowest_first(results["dashboard"]), lambda query: f"{_median(query):.3f}"
        ),
    ]


def by_size(label: str, sizes: dict[str, dict], text: Callable[[Any], str]) -> str:
    """Return a table with a line per name and a column per number of rows.

    Args:
        label: Heading of the first column.
        sizes: Values by number of rows and then by name.
        text: Formats a value.
    """
    names = dict.fromkeys(name for by_name in sizes.values() for name in by_name)
    lines = [
        (name, *(text(by_name[name]) if name in by_name else "" for by_name in sizes.values()))
        for name in names
    ]
    return table((label, *(f"{int(rows):,} rows" for rows in sizes)), lines)


def slowest_first(sizes: dict[str, dict]) -> dict[str, dict]:
    """Sort the names of each size by the median seconds of the largest size."""
    largest = sizes[max(sizes, key=int)]
    names = sorted(largest, key=lambda name: _median(largest[name]), reverse=True)
    return {rows: {name: by_name[name] for name in names} for rows, by_name in sizes.items()}


def _median(step: dict) -> float:
    return statistics.median(step["seconds"])


def dag_table(dag: dict[str, dict]) -> list[str]:
    """Return a table of the seconds of the DAG, of its commands alone, and the difference."""
    lines = [
        (name, f"{run['dag']:.1f}", f"{run['commands']:.1f}", f"{run['overhead']:.1f}")
        for name, run in dag.items()
    ]
    head = ("seconds", "DAG run", "its three commands alone", "overhead of Airflow")
    return ["### The DAG", table(head, lines)]


def growth(results: dict) -> dict[str, list[tuple[int, float]]]:
    """Return the points (rows, median seconds) of each line of the growth picture."""
    series = {}
    for label, part, name in GROWING:
        points = [
            (int(rows), _median(by_name[name]))
            for rows, by_name in results.get(part, {}).items()
            if "seconds" in by_name.get(name, {})
        ]
        if len(points) > 1:
            series[label] = sorted(points)
    return series


def slope(points: Sequence[tuple[int, float]]) -> float:
    """Fit a line on log-log scales to the points from SLOPE_FROM rows on; return its slope.

    A slope of 1 means that the seconds are proportional to the rows.
    """
    large = [point for point in points if point[0] >= SLOPE_FROM]
    used = large if len(large) > 1 else points
    rows, seconds = zip(*((math.log(x), math.log(y)) for x, y in used), strict=True)
    return statistics.linear_regression(rows, seconds).slope


def growth_table(series: dict[str, list[tuple[int, float]]]) -> list[str]:
    """Return a table of the slopes in the growth picture."""
    if not series:
        return []
    lines = [(label, f"{slope(points):.2f}") for label, points in series.items()]
    return ["### Growth", table(("seconds over rows, log-log", "slope"), lines)]


def origin(results: dict) -> str:
    """Describe date, data, machine, server and versions of the measurements."""
    machine, postgres = results["machine"], results["postgres"]
    server = ", ".join(
        f"{name} {value}" for name, value in postgres.items() if name != "server_version"
    )
    sizes = " and ".join(f"{rows:,}" for rows in results["transform_once"])
    once = f", for the transform of {sizes} rows 1" if sizes else ""
    versions = "; ".join(
        f"{component}: {', '.join(f'{name} {version}' for name, version in by_name.items())}"
        for component, by_name in results["versions"].items()
    )
    return (
        f"Date: {results['date']}. Rounds: {results['rounds']}{once}."
        f" Seed of the data: {results['seed']}.\n"
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{machine['os']}, Python {results['python']}.\n"
        f"Postgres {postgres['server_version']}: {server}.\n"
        f"Versions by environment: {versions}."
    )


def text(results: dict) -> str:
    """Return the whole report in Markdown that is also readable in a terminal."""
    parts = [origin(results), *load_table(results["load"])]
    if "transform" in results:
        parts += transform_tables(results)
    if "dag" in results:
        parts += dag_table(results["dag"])
    return "\n\n".join([*parts, *growth_table(growth(results))])


def publish(name: str, results: dict) -> None:
    """Write the results as JSON, the pictures and the generated part of the page."""
    file = Path(__file__).parent / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n")
    draw(results)
    write_page(name, results)


def draw(results: dict) -> None:
    """Draw the pictures."""
    # Import matplotlib late: the peak memory that Linux reports for a measured process begins with
    # the memory of this process, which forks it.
    import pictures

    if results["load"]:
        pictures.draw_peers(results["load"], DOCS / "pictures" / "performance-load.svg")
    if series := growth(results):
        slopes = {label: slope(points) for label, points in series.items()}
        pictures.draw_growth(series, slopes, DOCS / "pictures" / "performance-growth.svg")


def write_page(name: str, results: dict) -> None:
    """Replace the part of the page between its two markers.

    Raises:
        ValueError: The page lacks a marker or has one twice.
    """
    pictures = []
    if results["load"]:
        pictures.append(
            r"![Seconds as a ratio to \copy, and peak memory](pictures/performance-load.svg)"
        )
    if growth(results):
        pictures.append("![Seconds over rows, both logarithmic](pictures/performance-growth.svg)")
    intro = f"Measured with `make {name}`."
    block = "\n\n".join([BEGIN, intro, text(results), *pictures, END])
    page = PAGE.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE} must have the lines {BEGIN} and {END}, once each")
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, page, flags=re.DOTALL))
