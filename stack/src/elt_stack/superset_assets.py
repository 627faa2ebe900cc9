"""Normalise the objects of a Superset export, so that equal objects give equal YAML.

Superset's export contains computed values, repeated defaults, and values that differ between
installations. This module removes them and gives the rest a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Config = dict[str, Any]  # an object of an export, as parsed YAML

# These keys come first, because a reader looks for them first. The others follow in alphabetical
# order, and those of LAST come last.
FIRST = ("id", "name", "dashboard_title", "slug", "database_name", "table_name", "schema",
         "slice_name", "column_name", "metric_name", "type", "verbose_name", "expression",
         "description", "viz_type")  # fmt: skip
LAST = ("dataset_uuid", "database_uuid", "uuid", "version")
# Omitted if they have these values, which Superset assumes for missing keys.
DEFAULTS: dict[str, Config] = {
    "datasets": {"offset": 0, "filter_select_enabled": True, "normalize_columns": False,
                 "always_filter_main_dttm": False},
    "columns": {"is_dttm": False, "is_active": True, "groupby": True, "filterable": True},
}  # fmt: skip
# Omitted always: copies of other values, computed values and random ids.
DERIVED: dict[str, tuple[str, ...]] = {
    "charts": ("query_context",),
    "params": ("annotation_layers", "chart_id", "dashboardId", "dashboard_color_scheme",
               "dashboards", "datasource", "extra_form_data", "label_colors", "map_label_colors",
               "own_color_scheme", "shared_label_colors", "slice_id", "url_params", "viz_type"),
    "metadata": ("color_scheme_domain", "default_filters", "filter_scopes", "map_label_colors",
                 "shared_label_colors"),
    "anywhere": ("chartsInScope", "tabsInScope", "filterOptionName", "optionName", "isNew"),
}  # fmt: skip


def normalise(kind: str, config: Config) -> Config:
    """Return an object without redundant values, with its keys in a fixed order.

    Args:
        kind: the kind of the object: databases, datasets, charts or dashboards.
        config: the object, as parsed YAML.
    """
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
        config = _normalise_dashboard(config)
    ordered: Config = _ordered(config)
    if kind == "dashboards":
        ordered["position"] = {
            key: ordered["position"][key] for key in _reading_order(config["position"])
        }
    return ordered


def _without_defaults(config: Config, defaults: Config) -> Config:
    return {
        key: value
        for key, value in config.items()
        if value is not None and not (key in defaults and value == defaults[key])
    }


def _normalise_dashboard(config: Config) -> Config:
    """Renumber the charts in reading order, and remove computed values from the metadata."""
    position = config["position"]
    numbers: dict[int, int] = {}  # new chart ids by Superset's
    for key in _reading_order(position):
        component = position[key]
        if isinstance(component, dict) and component["type"] == "CHART":
            number = numbers.setdefault(component["meta"]["chartId"], len(numbers) + 1)
            component["meta"]["chartId"] = number
    metadata: Config = {
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
    """Return whether the cross filters of a chart apply to the whole dashboard."""
    return isinstance(value, dict) and value.get("crossFilters", {}).get("scope") == "global"


def _renumber(value: Any, numbers: dict[int, int]) -> Any:
    """Return a copy of a value in which each list of charts has the new chart ids."""
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


def _reading_order(position: Config) -> list[str]:
    """Return the keys of the components from top to bottom, parents before children."""

    def below(key: str) -> Iterator[str]:
        yield key
        for child in position[key].get("children", []):
            if child in position:
                yield from below(child)

    order = list(below("ROOT_ID"))
    return sorted(position.keys() - order) + order


def _ordered(value: Any) -> Any:
    """Return a copy of a value with all keys in the order of FIRST, the alphabet and LAST."""
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
