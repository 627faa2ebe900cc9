#!/usr/bin/env python3
"""Write the tables of docs/reliability.md from what the tests of faults have counted.

    python3 scripts/reliability.py RESULTS

RESULTS is the folder that RELIABILITY_RESULTS named: <table>.json = {"columns": [...], "rows":
[[...], ...]}. Each goes between `<!-- table:<table> -->` and `<!-- end -->`; a table without
results stays as it is, and is named.
"""

import json
import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
PLACE = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def cell(value):
    """A value as text that does not break the table; whole numbers with separators."""
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return shown.replace("|", "\\|").replace("\n", " ")


def as_markdown(table):
    """The table, with numbers on the right."""
    columns, rows = table["columns"], table["rows"]
    numeric = [
        bool(rows) and all(isinstance(row[place], (int, float)) for row in rows)
        for place in range(len(columns))
    ]
    lines = [columns, ["--:" if right else "---" for right in numeric], *rows]
    return "".join("| {} |\n".format(" | ".join(map(cell, line))) for line in lines)


def render(page, tables):
    """The page with these tables in their places.

    Raises:
        SystemExit: a table has no place in the page.
    """
    if missing := set(tables) - {name for _, name, _ in PLACE.findall(page)}:
        raise SystemExit(f"docs/reliability.md has no place for: {', '.join(sorted(missing))}")

    def filled(match):
        begin, name, end = match.groups()
        return begin + as_markdown(tables[name]) + end if name in tables else match.group(0)

    return PLACE.sub(filled, page)


def main(folder):
    """Bring the page up to date."""
    tables = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
    page = PAGE.read_text()
    PAGE.write_text(render(page, tables))
    for _, name, _ in PLACE.findall(page):
        print(f"{name}: {'written' if name in tables else 'no results, left as it was'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
