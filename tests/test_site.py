"""`make docs` builds a site with the generated reference, which needs no other host."""

from __future__ import annotations

import html
import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from support import PROJECT

SCRIPTS = PROJECT / "docs" / "site"
MENU = runpy.run_path(str(SCRIPTS / "conf.py"))["MENU"]
MODELS = {path.stem: path.read_text() for path in PROJECT.glob("dbt/models/**/*.sql")}
RENDER = (
    "import sys; from pathlib import Path; import build;"
    "sys.exit(build.render(*map(Path, sys.argv[1:])))"
)


@pytest.fixture(scope="module")
def site() -> Path:
    """Build the site and return its folder."""
    done = subprocess.run(
        ["make", "--no-print-directory", "docs"], cwd=PROJECT, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(unquote(urlsplit(done.stdout.splitlines()[-1]).path)).parent


def texts(page: Path, tag: str) -> list[str]:
    """Return the text of each element of a page that has this tag."""
    found = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page.read_text(), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", text)).removesuffix("¶") for text in found]


def test_each_setting_is_in_the_reference_once(site):
    declared = re.findall(r"^#?([A-Z]\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)
    shown = Counter(texts(site / "reference" / "settings.html", "strong"))
    assert shown == Counter(declared)


def test_the_reference_shows_the_values_of_each_environment(site):
    files = [PROJECT / "config" / f"{name}.env" for name in ("dev", "test", "staging", "prod")]
    values = [dict(re.findall(r"^(\w+)=(.*)$", file.read_text(), re.MULTILINE)) for file in files]
    cells = [cell.strip() for cell in texts(site / "reference" / "settings.html", "td")]
    rows = [cells[start : start + 5] for start in range(0, len(cells), 5)]
    assert sorted(rows) == sorted([name, *(value[name] for value in values)] for name in values[0])


def test_each_make_target_is_in_the_reference_once(site):
    targets = re.findall(r"^([a-z-]+):.*?## ", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    cells = texts(site / "reference" / "commands.html", "td")
    shown = Counter(cell for cell in cells if re.fullmatch(r"make [a-z-]+", cell))
    assert shown == Counter(f"make {target}" for target in targets)


@pytest.mark.parametrize(
    "component", ["stack/.venv/bin/elt", "data_ingestion/.venv/bin/data-ingestion"]
)
def test_the_help_of_each_command_is_in_the_reference(site, component):
    program = PROJECT / component
    text = subprocess.check_output([program, "--help"], text=True)
    commands = re.findall(r"^    ([a-z-]+)(?: |$)", text, re.MULTILINE)
    headings = texts(site / "reference" / "commands.html", "h3")
    assert [h for h in headings if h.startswith(f"{program.name} ")] == [
        f"{program.name} {command}" for command in commands
    ]
    blocks = texts(site / "reference" / "commands.html", "pre")
    for command in commands:
        assert any(block.startswith(f"usage: {program.name} {command} ") for block in blocks)
    environment = os.environ | {"COLUMNS": "90"}
    first = [program, commands[0], "--help"]
    assert subprocess.check_output(first, text=True, env=environment) in blocks


def test_each_table_and_test_is_in_the_dictionary(site):
    pages = list((site / "reference" / "data").glob("*.html"))
    headings = Counter(heading for page in pages for heading in texts(page, "h2"))
    seeds = [path.stem for path in PROJECT.glob("dbt/seeds/*.csv")]
    assert all(headings[name] for name in [*MODELS, *seeds, "_loads", "_duplicates"])
    words = {word for page in pages for word in re.findall(r"\w+", page.read_text())}
    assert {path.stem for path in PROJECT.glob("dbt/tests/*.sql")} <= words


def test_the_dictionary_shows_what_each_table_reads(site):
    sections = {}
    for schema in ("staging", "marts"):
        text = (site / "reference" / "data" / f"{schema}.html").read_text()
        for section in text.split("<h2>")[1:]:
            reads = section.partition("Reads:")[2].partition("Read by:")[0]
            sections[section.partition("<")[0]] = set(re.findall(r"#([\w-]+)\"", reads))
    for model, sql in MODELS.items():
        read = {name.replace("_", "-") for name in re.findall(r"ref\('(\w+)'\)", sql)}
        assert read <= sections[model], model


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_site_is_readable_and_asks_no_other_host(site, browser, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    requested: list[str] = []
    errors: list[str] = []
    context.on("request", lambda request: requested.append(request.url))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    page = context.new_page()
    for name in ("index", "docs/architecture", "reference/data/index"):
        page.goto((site / f"{name}.html").as_uri())
        diagrams = page.locator(".diagram svg")
        assert diagrams.count() >= 1
        assert all(diagram.bounding_box()["width"] > 200 for diagram in diagrams.all())
        assert "flowchart" not in page.locator("article").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    context.close()
    assert errors == []
    assert requested
    assert [url for url in requested if not url.startswith((site.as_uri(), "data:"))] == []


def render(folder: Path, first_page: str, **pages: str) -> subprocess.CompletedProcess:
    """Build a site of short pages that are all in the menu, and of pages that are not."""
    entries = [re.sub(r".*<(.*)>", r"\1", page) for group in MENU.values() for page in group]
    menu = {page: f"# {page}\n" for page in entries if page != "self"}
    for name, text in {
        **menu,
        "docs/operations": "# Operations\n",
        "README": first_page,
        **pages,
    }.items():
        path = folder / "source" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run(
        [sys.executable, "-c", RENDER, folder / "source", folder / "html"],
        cwd=SCRIPTS, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_pages_without_a_fault_are_built(tmp_path):
    done = render(tmp_path, "# Start\n\n[Link](docs/security.md)\n")
    assert (done.returncode, done.stdout) == (0, "")


def test_every_fault_fails_the_build(tmp_path):
    faults = {
        "[Link](docs/none.md)": "cross-reference target not found: 'docs/none.md'",
        "[Link](docs/security.md#none)": "local id not found in doc 'docs/security': 'none'",
        "![Picture](none.png)": "image file not readable: none.png",
        "```mermaid\nflowchart LR\na[b --> c\n```": "Parse error on line 3",
        "#### Too deep": "Non-consecutive header level increase",
    }
    done = render(
        tmp_path, "# Start\n\n" + "\n\n".join(faults), **{"other/page": "# Not in a menu\n"}
    )
    assert done.returncode == 1
    assert [message for message in faults.values() if message not in done.stdout] == []
    assert "page.md: WARNING: document isn't included in any toctree" in done.stdout
    assert done.stdout.count("WARNING") == len(faults) + 1, done.stdout
