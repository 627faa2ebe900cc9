"""`make dashboard-export`: what was arranged in Superset's UI, as the YAML that git keeps.

Superset's own export holds all its dashboards, under file names with numbers that differ from one
installation to the next, and with much that says nothing. Here one dashboard and what it is made of
are written so that a change in the UI is a small change of a file, and no change is none.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import requests
import yaml

from elt_stack.errors import StackError
from elt_stack.ports import session

SLUG = "monitoring"
KINDS = ("databases", "datasets", "charts", "dashboards")
NAMES = {"databases": "database_name", "datasets": "table_name", "charts": "slice_name"}
# Written first, because a person looks for them first. All others follow by the alphabet.
FIRST = ("id", "name", "dashboard_title", "slug", "database_name", "table_name", "schema",
         "slice_name", "column_name", "metric_name", "type", "verbose_name", "expression",
         "description", "viz_type")  # fmt: skip
LAST = ("dataset_uuid", "database_uuid", "uuid", "version")
# Left out where they are so, as Superset takes them to be when a file does not say.
DEFAULTS = {
    "datasets": {"offset": 0, "filter_select_enabled": True, "normalize_columns": False,
                 "always_filter_main_dttm": False},
    "columns": {"is_dttm": False, "is_active": True, "groupby": True, "filterable": True},
}  # fmt: skip
# What Superset writes beside what a person has chosen: copies, computed from the rest, random.
DERIVED = {
    "charts": ("query_context",),
    "params": ("annotation_layers", "chart_id", "dashboardId", "dashboard_color_scheme",
               "dashboards", "datasource", "extra_form_data", "label_colors", "map_label_colors",
               "own_color_scheme", "shared_label_colors", "slice_id", "url_params", "viz_type"),
    "metadata": ("color_scheme_domain", "default_filters", "filter_scopes", "map_label_colors",
                 "shared_label_colors"),
    "anywhere": ("chartsInScope", "tabsInScope", "filterOptionName", "optionName", "isNew"),
}  # fmt: skip


def export(address: str, user: str, password: str, folder: Path) -> list[str]:
    """Write the Monitoring Dashboard, as it is now, into `folder`.

    A file keeps its name as long as its object lives, whatever the UI calls that.

    Returns:
        The names of the files that changed, below `folder`.

    Raises:
        StackError: Superset cannot be asked, or has no such dashboard.
    """
    found = _ours(_objects(_bundle(address, user, password)))
    known = {
        yaml.safe_load(path.read_text())["uuid"]: path.stem for path in folder.glob("*/*.yaml")
    }
    texts = {"metadata.yaml": _text({"type": "assets", "version": "1.0.0"})}
    for kind, config in found:
        stem = known.get(config["uuid"]) or _slug(config.get(NAMES.get(kind)) or SLUG)
        name = f"{kind}/{stem}.yaml"
        if name in texts:  # two objects of one title
            name = f"{kind}/{stem}_{config['uuid'][:8]}.yaml"
        texts[name] = _text(_clean(kind, config))
    return _write(folder, texts)


def _write(folder: Path, texts: dict[str, str]) -> list[str]:
    """Make the folder hold these files and no others; returns the names of those that changed."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.yaml")}
    changed = [name for name in there if name not in texts]
    for name in changed:
        there[name].unlink()
    for name, text in texts.items():
        if name in there and there[name].read_text() == text:
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        changed.append(name)
    return sorted(changed)


def _bundle(address: str, user: str, password: str) -> bytes:
    """Superset's export of all that it has."""
    with session() as superset:
        login = {"username": user, "password": password, "provider": "db"}
        try:
            answer = superset.post(f"{address}/api/v1/security/login", json=login, timeout=30)
            if answer.status_code == 401:
                raise StackError(f"Superset refuses the login {user!r}: see .env")
            answer.raise_for_status()
            token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            answer = superset.get(f"{address}/api/v1/assets/export/", headers=token, timeout=120)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise StackError(f"Superset does not answer at {address}: {error}") from None
    return answer.content


def _objects(bundle: bytes) -> Iterator[tuple[str, dict]]:
    """Each object in the bundle, with its kind."""
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as files:
            for name in files.namelist():
                kind = name.split("/")[1]
                if kind in KINDS:
                    yield kind, yaml.safe_load(files.read(name))
    except zipfile.BadZipFile:
        raise StackError("Superset sent something that is no export: see its log") from None


def _ours(objects: Iterator[tuple[str, dict]]) -> list[tuple[str, dict]]:
    """The dashboard, and what it is made of, down to the database."""
    everything = list(objects)
    wanted = {
        config["uuid"]
        for kind, config in everything
        if kind == "dashboards" and config.get("slug") == SLUG
    }
    if not wanted:
        raise StackError(f"Superset has no dashboard {SLUG!r}: starting it again imports it")
    for kind in reversed(KINDS):
        for found, config in everything:
            if found == kind and config["uuid"] in wanted:
                wanted |= set(_references(config))
    return [(kind, config) for kind, config in everything if config["uuid"] in wanted]


def _references(value: object) -> Iterator[str]:
    """All that looks like the uuid of another object, at any depth."""
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


def _clean(kind: str, config: dict) -> dict:
    """The object without what says nothing, in an order that stays."""
    dropped = DERIVED.get(kind, ())
    config = {key: value for key, value in config.items() if key not in dropped}
    config = _without_defaults(config, DEFAULTS.get(kind, {}))
    for children, key in (("columns", "column_name"), ("metrics", "metric_name")):
        if children in config and kind == "datasets":
            cleaned = [
                _without_defaults(child, DEFAULTS.get(children, {})) for child in config[children]
            ]
            config[children] = sorted(cleaned, key=lambda child: child[key])
    if kind == "charts":
        config["params"] = {
            key: value
            for key, value in config["params"].items()
            if key not in DERIVED["params"] or (key == "annotation_layers" and value)
        }
    if kind == "dashboards":
        config = _clean_dashboard(config)
    ordered = _ordered(config)
    if kind == "dashboards":
        ordered["position"] = {
            key: ordered["position"][key] for key in _reading_order(config["position"])
        }
    return ordered


def _without_defaults(config: dict, defaults: dict) -> dict:
    return {
        key: value
        for key, value in config.items()
        if value is not None and not (key in defaults and value == defaults[key])
    }


def _clean_dashboard(config: dict) -> dict:
    """Number its charts as they are read, and take what Superset computes out of its metadata."""
    position, numbers = config["position"], {}
    for key in _reading_order(position):
        component = position[key]
        if isinstance(component, dict) and component["type"] == "CHART":
            number = numbers.setdefault(component["meta"]["chartId"], len(numbers) + 1)
            component["meta"]["chartId"] = number
    metadata = {
        key: value
        for key, value in config.get("metadata", {}).items()
        if key not in DERIVED["metadata"] and (value or value is False)
    }
    for key in ("expanded_slices", "chart_configuration"):
        renumbered = {
            str(numbers[int(chart)]): value
            for chart, value in metadata.pop(key, {}).items()
            if int(chart) in numbers and not _is_default_scope(value)
        }
        if renumbered:
            metadata[key] = renumbered
    metadata = _renumber(metadata, numbers)
    for value in metadata.get("chart_configuration", {}).values():
        value["id"] = numbers.get(value["id"], value["id"])
    if metadata.get("global_chart_configuration", {}).get("scope", {}).get("excluded") == []:
        del metadata["global_chart_configuration"]
    return config | {"metadata": metadata}


def _is_default_scope(value: object) -> bool:
    """Whether a chart's cross filters are those of the whole dashboard."""
    return isinstance(value, dict) and value.get("crossFilters", {}).get("scope") == "global"


def _renumber(value: object, numbers: dict[int, int]) -> object:
    """The same with the charts' new numbers, wherever a list of charts stands."""
    if isinstance(value, dict):
        return {
            key: sorted(numbers[chart] for chart in child if chart in numbers)
            if key in ("excluded", "timed_refresh_immune_slices")
            else _renumber(child, numbers)
            for key, child in value.items()
        }
    if isinstance(value, list):
        return [_renumber(child, numbers) for child in value]
    return value


def _reading_order(position: dict) -> list[str]:
    """The components' keys from top to bottom, each before those it holds."""

    def below(key: str) -> Iterator[str]:
        yield key
        for child in position[key].get("children", []):
            if child in position:
                yield from below(child)

    order = list(below("ROOT_ID"))
    return sorted(position.keys() - order) + order


def _ordered(value: object) -> object:
    """The same with its keys in an order that does not depend on Superset's."""
    if isinstance(value, dict):
        places = {key: -len(FIRST) + place for place, key in enumerate(FIRST)}
        places |= {key: 1 + place for place, key in enumerate(LAST)}
        keys = sorted(value, key=lambda key: (places.get(key, 0), str(key)))
        return {
            key: _ordered(value[key]) for key in keys if key not in DERIVED["anywhere"]
        }  # fmt: skip
    if isinstance(value, list):
        return [_ordered(child) for child in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Lists are indented, as yamllint wants them; text of several lines stands as it is."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _represent_text)


def _text(config: dict) -> str:
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
