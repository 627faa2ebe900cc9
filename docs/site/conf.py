"""Sphinx's configuration of the site: its pages, its menu and its look."""

from __future__ import annotations

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

project = "Transactions ELT"
extensions = ["myst_parser", "diagrams"]
root_doc = "README"
myst_heading_anchors = 4  # GitHub's anchors
myst_fence_as_directive = ["mermaid"]

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# The menu. Pages of docs/ that no other group names are in the group Operate.
MENU = {
    "Start": ["Quick start <self>", "docs/architecture"],
    "Add your bank": ["docs/add-your-bank", "docs/sources", "The loader <data_ingestion/README>"],
    "Operate": [],
    "Reference": ["reference/settings", "reference/commands", "reference/data/index"],
    "Evidence": ["docs/performance", "docs/reliability", "docs/security"],
    "Project": [
        *("docs/decisions/index", "docs/lakehouse-vs-data-mesh"),
        *("CONTRIBUTING", "CHANGELOG", "SECURITY"),
    ],
}


def menu(docs: set[str]) -> str:
    """Return the table of contents of the site, which only its menu shows."""
    named = {page for pages in MENU.values() for page in pages}
    others = sorted(page for page in docs - named if Path(page).parent == Path("docs"))
    groups = {title: pages or others for title, pages in MENU.items()}
    return "".join(
        "\n```{toctree}\n:hidden:\n:caption: " + "\n".join([title, "", *pages]) + "\n```\n"
        for title, pages in groups.items()
    )


def add_menu(app: Sphinx, page: str, text: list[str]) -> None:
    """Add the menu to the first page."""
    if page == root_doc:
        text[0] += menu(set(app.project.docnames))


def setup(app: Sphinx) -> None:
    """Connect the menu. Pygments knows no crontab and no CSV."""
    app.connect("source-read", add_menu)
    for language in ("cron", "csv"):
        app.add_lexer(language, TextLexer)
