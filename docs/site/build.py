"""Build the documentation as a site of static pages: `make docs`.

The sources are the Markdown pages of the project, as GitHub shows them, and the reference pages
that this program generates. Every warning of Sphinx fails the build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dictionary
import reference
from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
BUILD = PROJECT / "build" / "docs"
SOURCE, SITE = BUILD / "source", BUILD / "html"
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
HIDDEN = (".github/", "docs/site/")  # Markdown that is no page
# GitHub shows the records as a folder.
DECISIONS = """# Decisions

```{toctree}
:glob:

*
```
"""


def pages() -> list[str]:
    """Return the Markdown pages that Git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.check_output(command, cwd=PROJECT, text=True).splitlines()
    return [name for name in names if not name.startswith(HIDDEN) and (PROJECT / name).exists()]


def copy(page: str) -> None:
    """Copy a page and the files to which it links. A link to a folder leads to its `index.md`."""
    text = (PROJECT / page).read_text()
    for link in set(LINK.findall(text)):
        target = Path(os.path.normpath(PROJECT / page / ".." / link))
        if target.is_file() and target.suffix != ".md":
            copied = SOURCE / target.relative_to(PROJECT)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, copied)
        elif target.is_dir():
            text = text.replace(f"]({link}", f"]({link.rstrip('/')}/index.md")
    write(page, text)


def write(page: str, text: str) -> None:
    """Write a page of the site's sources."""
    path = SOURCE / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def render(source: Path, site: Path) -> int:
    """Run Sphinx. Return its exit code, which a warning makes different from 0."""
    # A page that did not change would hide its warnings, so every build reads all pages.
    strict = ["--fail-on-warning", "--keep-going", "--nitpicky", "--fresh-env", "--write-all"]
    kept = ["--doctree-dir", str(site.with_name("doctrees"))]
    return sphinx(["--quiet", *strict, *kept, "--conf-dir", str(HERE), str(source), str(site)])


def build() -> int:
    """Collect and generate the sources, and build the site. Return the exit code."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for page in pages():
        copy(page)
    write("docs/decisions/index.md", DECISIONS)
    generated = {**reference.pages(), **dictionary.pages(BUILD / "dbt")}
    for page, text in generated.items():
        write(f"reference/{page}.md", text)
    if failed := render(SOURCE, SITE):
        return failed
    shutil.copy(SITE / "README.html", SITE / "index.html")
    print((SITE / "index.html").as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(build())
