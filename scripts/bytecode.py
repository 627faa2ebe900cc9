#!/usr/bin/env python3
"""Keep compiled bytecode beside the package cache, so that a fresh clone need not compile again.

    python3 scripts/bytecode.py save|restore COMPONENT...

uv links packages from its cache into each environment, but not the bytecode that Python makes of
them at the first import: half of the time until a fresh clone's Airflow answers. What is kept is
safe to be out of date: Python compares it with its source's time and size, and compiles anew.
"""

import os
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "elt-local", "bytecode")


def mirror(source: Path, target: Path) -> None:
    """Link each `__pycache__` file of `source` to the same place in `target`.

    Files that Python writes anew are new files: what is linked here never changes in place.
    """
    for folder, _, names in os.walk(source):
        if Path(folder).name != "__pycache__":
            continue
        place = target / Path(folder).relative_to(source)
        if target.name == "site-packages" and not place.parent.is_dir():
            continue  # a package that is not installed here must not seem to be
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            ours, theirs = Path(folder, name), place / name
            if theirs.exists():
                if theirs.samefile(ours):
                    continue
                theirs.unlink()
            os.link(ours, theirs)


def main() -> None:
    """Save or restore; a cache that cannot be used (another disk, no right) is done without."""
    command, *components = sys.argv[1:]
    for component in components:
        for packages in Path(component).glob(".venv/lib/python*/site-packages"):
            kept = CACHE / Path(component).name / packages.parent.name
            try:
                mirror(*((packages, kept) if command == "save" else (kept, packages)))
            except OSError as error:
                print(f"bytecode: {error}; going on without", file=sys.stderr)


if __name__ == "__main__":
    main()
