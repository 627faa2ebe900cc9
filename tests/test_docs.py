"""Check that the documentation mentions only files, headings, tests and commands that exist."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from support import PROJECT

FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
TARGET = re.compile(r"\bmake (?:--silent )?((?:[a-z][a-z_.-]*)(?: install-\.)?)(?![\w*])")
# `docs/a.md`, `airflow/`, `init_db.sql`, `tests/torture*.py`: a path or a file name of the project.
FILE_NAME = re.compile(
    r"[\w./*-]+\.(?:cfg|conf|json|md|py|sh|sql|toml|yaml|yml|csv)|[~\w.*-]+/[\w./*-]*"
)
TEST_NAME = re.compile(r"test_\w+")
# Paths that git does not track: those of a running stack, names of images, and examples.
OUTSIDE_GIT = re.compile(r"(~|\.state|\.tools|backups|elt)/.*|/.*|name\.csv|\*?\.(csv|truth\.json)")


def project_files(*arguments: str) -> list[str]:
    """Return the existing files of the project that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *arguments]
    return [
        name for name in subprocess.check_output(command, cwd=PROJECT, text=True).splitlines()
        if (PROJECT / name).exists()
    ]  # fmt: skip


PAGES = project_files("*.md")
FILES = project_files()
PATHS = {str(path) for file in FILES for path in (Path(file), *Path(file).parents)}
# The changelog also names files, tests and targets that no longer exist.
CURRENT_PAGES = [page for page in PAGES if page != "CHANGELOG.md"]


def read(page: str) -> str:
    return (PROJECT / page).read_text()


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """Return the targets of the Makefile, from make's own database."""
    command = ["make", "--print-data-base", "--question", "--no-builtin-rules", "help"]
    database = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout
    return set(re.findall(r"^([\w.-]+):", database, re.MULTILINE))


@pytest.fixture(scope="module")
def functions() -> set[str]:
    """Return the names of all test functions in Python."""
    sources = [read(file) for file in FILES if Path(file).name.startswith("test_")]
    return {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}


def test_the_pages_are_found():
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/operations.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for link in LINK.findall(FENCE.sub("", read(page))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (PROJECT / page).parent / path if path else PROJECT / page
        assert target.exists(), f"{page} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page} links to {link}"


@pytest.mark.parametrize("page", CURRENT_PAGES)
def test_mentioned_files_exist(page):
    for name in CODE.findall(FENCE.sub("", read(page))):
        if not FILE_NAME.fullmatch(name) or OUTSIDE_GIT.fullmatch(name):
            continue
        pattern = f"*/{name.rstrip('/')}"
        assert any(fnmatch(f"/{path}", pattern) for path in PATHS), f"{page} mentions {name}"


@pytest.mark.parametrize("page", CURRENT_PAGES)
def test_mentioned_tests_exist(page, functions):
    mentioned = {name for name in CODE.findall(read(page)) if TEST_NAME.fullmatch(name)}
    tasks_and_columns = {"test_transformed_data", "test_results", "test_name"}
    missing = mentioned - tasks_and_columns - functions
    assert not missing, f"{page} mentions tests that do not exist"


@pytest.mark.parametrize("page", CURRENT_PAGES)
def test_mentioned_make_targets_exist(page, targets):
    text = read(page)
    commands = [*CODE.findall(FENCE.sub("", text)), *FENCE.findall(text)]
    mentioned = {
        name for command in commands for found in TARGET.findall(command) for name in found.split()
    }
    missing = mentioned - targets
    assert not missing, f"{page} mentions make targets that do not exist"


def test_the_page_shows_the_settings_of_each_environment():
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in read("docs/environments.md")
        .split("## What differs")[1]
        .split("\n\n")[1]
        .splitlines()
    ]
    (_, *environments), _, *settings = rows
    shown = {
        environment: {name: values[column] for name, *values in settings}
        for column, environment in enumerate(environments)
    }
    assert shown == {
        Path(file).stem: dict(re.findall(r"^([A-Z_]+)=(.*)$", read(file), re.MULTILINE))
        for file in project_files("config/*.env")
    }
