#!/usr/bin/env python3
"""Write the results of the fault tests into the tables of docs/reliability.md.

    python3 scripts/reliability.py RESULTS

RESULTS is the folder that the tests received as RELIABILITY_RESULTS. It contains a file TABLE.json
for each table: {"columns": [...], "rows": [[...], ...]}. The script replaces the text between
`<!-- table:TABLE -->` and `<!-- end -->`. A table without results stays unchanged and is reported.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Sequence, TypedDict, Union

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
PLACEHOLDER = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Cell = Union[str, int, float]


class Table(TypedDict):
    """The results of one group of fault tests."""

    columns: list[str]
    rows: list[list[Cell]]


def cell(value: Cell) -> str:
    """Format a value for a Markdown table: escape delimiters, group the digits of integers."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def as_markdown(table: Table) -> str:
    """Format a table as Markdown, with numeric columns aligned right."""
    columns, rows = table["columns"], table["rows"]
    numeric = [
        bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        for index in range(len(columns))
    ]
    lines: list[Sequence[Cell]] = [columns, ["--:" if right else "---" for right in numeric], *rows]
    return "".join("| {} |\n".format(" | ".join(map(cell, line))) for line in lines)


def render(page: str, tables: dict[str, Table]) -> str:
    """Replace the tables of a page.

    Args:
        page: the Markdown text.
        tables: the new tables by name.

    Returns:
        The page with the new tables; other tables are unchanged.

    Raises:
        SystemExit: the page has no placeholder for a table.
    """
    if missing := set(tables) - {name for _, name, _ in PLACEHOLDER.findall(page)}:
        raise SystemExit(f"docs/reliability.md has no place for: {', '.join(sorted(missing))}")

    def fill(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        return begin + as_markdown(tables[name]) + end if name in tables else match.group(0)

    return PLACEHOLDER.sub(fill, page)


def main(folder: Path) -> None:
    """Update docs/reliability.md from a folder of results."""
    tables = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
    page = PAGE.read_text()
    PAGE.write_text(render(page, tables))
    for _, name, _ in PLACEHOLDER.findall(page):
        print(f"{name}: {'written' if name in tables else 'no results, unchanged'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
