"""`make dashboard-export`: write the dashboard, as edited in Superset's UI, to superset/assets.

Superset's own export contains all dashboards, in files whose names differ between installations.
This module writes one dashboard with its charts, datasets and database, so that a change in the UI
becomes a small change of a file.
"""

from __future__ import annotations

import io
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from elt_stack.errors import StackError
from elt_stack.runtimes import running_runtime
from elt_stack.setting_files import PROJECT
from elt_stack.settings import Settings
from elt_stack.superset_assets import Config, normalise

SLUG = "monitoring"
KINDS = ("databases", "datasets", "charts", "dashboards")
NAMES = {"databases": "database_name", "datasets": "table_name", "charts": "slice_name"}


def export(archive: bytes, folder: Path) -> list[str]:
    """Write the Monitoring Dashboard of an export into `folder`.

    An existing file keeps its name even if its object was renamed in the UI.

    Args:
        archive: Superset's export of all its objects.
        folder: the folder of the assets.

    Returns:
        The names of the files that changed, relative to `folder`.

    Raises:
        StackError: the export is damaged, or Superset has no such dashboard.
    """
    objects = _parts_of_dashboard(_objects(archive))
    known = {
        yaml.safe_load(path.read_text())["uuid"]: path.stem for path in folder.glob("*/*.yaml")
    }
    texts = {"metadata.yaml": _text({"type": "assets", "version": "1.0.0"})}
    for kind, config in objects:
        stem = known.get(config["uuid"]) or _slug(config.get(NAMES.get(kind, "slug")) or SLUG)
        name = f"{kind}/{stem}.yaml"
        if name in texts:  # another object has the same title
            name = f"{kind}/{stem}_{config['uuid'][:8]}.yaml"
        texts[name] = _text(normalise(kind, config))
    return _write(folder, texts)


def _write(folder: Path, texts: dict[str, str]) -> list[str]:
    """Write these files, delete all others, and return the names of those that changed."""
    existing = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.yaml")}
    changed = [name for name in existing if name not in texts]
    for name in changed:
        existing[name].unlink()
    for name, text in texts.items():
        if name in existing and existing[name].read_text() == text:
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        changed.append(name)
    return sorted(changed)


def download(settings: Settings) -> bytes:
    """Return Superset's export of all its objects, a zip archive.

    The export runs beside the server, without a login: passwords may be off (docs/sign-in.md).

    Raises:
        StackError: no stack is running, or the export failed.
    """
    runtime = running_runtime(settings)
    if runtime is None:
        raise StackError("nothing is running: start the stack, then export its dashboard")
    program = ("export_assets.py", settings["SUPERSET_ADMIN_USER"])
    command, environment = runtime.superset_python(*program)
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [
            "no reason given"
        ]
        raise StackError(f"Superset cannot export its objects: {reason[0]}")
    return done.stdout


def _objects(export: bytes) -> Iterator[tuple[str, Config]]:
    """Yield the kind and the content of each object in an export."""
    try:
        with zipfile.ZipFile(io.BytesIO(export)) as files:
            for name in files.namelist():
                kind = name.split("/")[1]
                if kind in KINDS:
                    yield kind, yaml.safe_load(files.read(name))
    except zipfile.BadZipFile:
        raise StackError("Superset's answer is not an export: see Superset's log") from None


def _parts_of_dashboard(objects: Iterator[tuple[str, Config]]) -> list[tuple[str, Config]]:
    """Return the dashboard and the charts, datasets and databases that it uses."""
    everything = list(objects)
    wanted = {
        config["uuid"]
        for kind, config in everything
        if kind == "dashboards" and config.get("slug") == SLUG
    }
    if not wanted:
        raise StackError(
            f"Superset has no dashboard {SLUG!r}: restart it, which imports the dashboard"
        )
    for kind in reversed(KINDS):
        for other_kind, config in everything:
            if other_kind == kind and config["uuid"] in wanted:
                wanted |= set(_references(config))
    return [(kind, config) for kind, config in everything if config["uuid"] in wanted]


def _references(value: object) -> Iterator[str]:
    """Yield each UUID that refers to another object, at any depth."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key in ("uuid", "dataset_uuid", "datasetUuid", "database_uuid"):
                yield child
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or "untitled"


class _Dumper(yaml.SafeDumper):
    """Dumps YAML as yamllint expects it: lists are indented, and texts keep their line breaks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _represent_text)


def _text(config: Config) -> str:
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
