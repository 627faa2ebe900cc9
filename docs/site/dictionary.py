"""Generate the data dictionary: the tables, columns, tests and lineage that dbt knows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reference import PROJECT, code, prose, table

Node = dict[str, Any]
DBT = PROJECT / "dbt"
FOLDERS = ("models", "macros", "seeds", "tests")
SCHEMAS = ("raw", "staging", "marts", "audit")
KINDS = {
    None: "table, which the loader or a test writes",
    "incremental": "table, to which each run adds",
    "table": "table",
    "view": "view",
    "seed": "table with the rows of a CSV file in `dbt/seeds`",
}
FIRST_COMMENT = re.compile(r"^-- .*\n(?:^--.*\n)*", re.MULTILINE)
INDEX = """# Data dictionary

These pages are generated from the dbt project.

{menu}

## Lineage

Each arrow leads from a table to a table or dashboard that reads it.

```mermaid
flowchart LR
{graph}
```
"""


def manifest(folder: Path) -> Node:
    """Return dbt's manifest. dbt needs seconds to write it, so it is kept until a file changes."""
    files = [DBT / "dbt_project.yml", *(f for name in FOLDERS for f in DBT.glob(f"{name}/**/*.*"))]
    hashes = (hashlib.sha256(str(f).encode() + f.read_bytes()).hexdigest() for f in sorted(files))
    digest = hashlib.sha256("".join(hashes).encode()).hexdigest()
    kept = folder / "digest"
    if not kept.exists() or kept.read_text() != digest:
        kept.unlink(missing_ok=True)
        # `dbt parse` opens no connection. It gets no settings of the user's shell.
        subprocess.run(
            [DBT / ".venv" / "bin" / "dbt", "--quiet", "parse", "--target-path", folder],
            cwd=DBT, env={"PATH": os.environ["PATH"], "PGPASSWORD": "none"}, check=True,
        )  # fmt: skip
        kept.write_text(digest)
    found: Node = json.loads((folder / "manifest.json").read_text())
    return found


class Dictionary:
    """The tables of the warehouse, their tests and what reads them."""

    def __init__(self, found: Node) -> None:
        nodes = {**found["sources"], **found["nodes"]}
        kinds = ("source", "model", "seed")
        self.tables = {key: node for key, node in nodes.items() if node["resource_type"] in kinds}
        self.tests = [node for node in nodes.values() if node["resource_type"] == "test"]
        self.dashboards = found["exposures"]
        self.children: dict[str, list[str]] = found["child_map"]
        self.parents: dict[str, list[str]] = found["parent_map"]

    def schema(self, name: str) -> list[str]:
        """Return the keys of the tables of a schema, in alphabetical order."""
        found = (key for key, node in self.tables.items() if node["schema"] == name)
        return sorted(found, key=lambda key: self.tables[key]["name"])

    def link(self, key: str) -> str:
        """Return a link to a table, or the name of a dashboard."""
        if key in self.dashboards:
            return str(self.dashboards[key]["label"])
        schema, name = self.tables[key]["schema"], self.tables[key]["name"]
        return f"[`{schema}.{name}`]({schema}.md#{name})"

    def links(self, keys: Iterable[str]) -> str:
        """Return links to all tables and dashboards among the keys, without tests."""
        known = sorted({key for key in keys if key in self.tables or key in self.dashboards})
        return ", ".join(map(self.link, known)) or "nothing"

    def tests_of(self, key: str, column: str | None) -> list[Node]:
        """Return the tests of a column, or those of the table as a whole."""

        def tested(test: Node) -> list[str]:
            attached = test.get("attached_node")
            return [attached] if attached else self.parents[test["unique_id"]]

        return [
            test for test in self.tests if test.get("column_name") == column and key in tested(test)
        ]

    def test_line(self, test: Node) -> str:
        """Return a line of a list about a test: its name, and the comment in its file."""
        comment = FIRST_COMMENT.search(test["raw_code"])
        text = comment[0].replace("-- ", "").split("--\n")[0] if comment else ""
        warns = " (warns)" if test["config"]["severity"].lower() == "warn" else ""
        return f"- **{test['name']}**{warns} {prose(text).strip()}".rstrip() + "\n"

    def meaning(self, key: str, column: Node) -> str:
        """Return the description of a column, and the names of its tests."""
        tests = [code(test["name"]) for test in self.tests_of(key, column["name"])]
        return f"{column['description'].strip()} " + f"Tests: {', '.join(tests)}." * bool(tests)

    def section(self, key: str) -> str:
        """Return the section about a table."""
        node = self.tables[key]
        kind = KINDS[node["config"].get("materialized")]
        rows = [
            [code(column["name"]), code(column.get("data_type") or ""), self.meaning(key, column)]
            for column in node["columns"].values()
        ]
        tests = "".join(map(self.test_line, self.tests_of(key, None)))
        parts = [
            f"## {node['name']}",
            node["description"].strip(),
            f"A {kind}. Reads: {self.links(self.parents.get(key, []))}."
            f" Read by: {self.links(self.children.get(key, []))}.",
            table(["column", "type", "description"], rows) if rows else "",
            f"Tests:\n\n{tests}" if tests else "",
        ]
        return "\n\n".join(filter(None, parts)) + "\n"

    def graph(self) -> str:
        """Return the lineage in Mermaid: a box for each schema, and an arrow for each reader."""
        ids = {key: f"n{number}" for number, key in enumerate([*self.tables, *self.dashboards])}
        lines = []
        for schema in SCHEMAS:
            names = (f'{ids[key]}["{self.tables[key]["name"]}"]' for key in self.schema(schema))
            lines += [f"subgraph {schema}", *names, "end"]
        lines += [f'{ids[key]}(["{node["label"]}"])' for key, node in self.dashboards.items()]
        arrows = (
            f"{ids[key]} --> {ids[child]}"
            for key in self.tables for child in self.children.get(key, []) if child in ids
        )  # fmt: skip
        return "\n".join([*lines, *sorted(arrows)])


def pages(folder: Path) -> dict[str, str]:
    """Return a page for each schema, and their index, by name."""
    known = Dictionary(manifest(folder))
    menu = "```{toctree}\n" + "\n".join(SCHEMAS) + "\n```"
    sections = {
        f"data/{schema}": "\n".join([f"# {schema}\n", *map(known.section, known.schema(schema))])
        for schema in SCHEMAS
    }
    return {"data/index": INDEX.format(menu=menu, graph=known.graph()), **sections}
