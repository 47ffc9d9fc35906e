"""From a compact description to Grafana's dashboard JSON: the few panel kinds that Avert's dashboards use.

A board is rows of panels; a panel is a title, a sentence that says how to read it, a unit and PromQL. Everything
else (ids, grid positions, colours, legends, tooltips) is decided here once, so that all boards look alike and a
diff of a board shows what changed. Grafana's names for things are kept to this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 42  # of Grafana 12.1 and later; older versions are migrated by Grafana when it loads the file
GRID_COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Blue for what is fine, green for what helped, orange for what needs a look, red for what costs.
BLUE, GREEN, YELLOW, ORANGE, RED, PURPLE, GREY = (
    "#5794F2", "#56A64B", "#E0B400", "#FF780A", "#E02F44", "#8F3BB8", "#8E8E8E",
)

Kind = Literal["timeseries", "stat", "table", "bargauge", "heatmap", "text"]


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are called. `legend` uses Grafana's ``{{label}}``."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. `about` is the help text behind its (i). `unit` is Grafana's id of a unit, `width` of 24 columns."""

    title: str
    about: str
    queries: tuple[Query, ...] = ()
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    stacked: bool = False
    minimum: float | None = 0
    maximum: float | None = None
    colours: tuple[tuple[str, str], ...] = ()  # (series name, colour)
    thresholds: tuple[tuple[float, str], ...] = ()  # from this value on, this colour
    base_colour: str = BLUE  # below the first threshold
    columns: tuple[tuple[str, str], ...] = ()  # of a table: (label or "Value #A", heading)
    text: str = ""  # of a text panel, Markdown


@dataclass(frozen=True)
class Row:
    """A titled group of panels, laid out from left to right and wrapped at 24 columns."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of the board: values of `label` on `metric`. "All" matches series without it as well."""

    name: str
    heading: str
    metric: str
    label: str


@dataclass(frozen=True)
class Board:
    """A dashboard. `uid` stays the same for ever: links point to it."""

    uid: str
    title: str
    about: str
    tags: tuple[str, ...]
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    time_from: str = "now-1h"
    refresh: str = "10s"


def render(board: Board) -> dict[str, Any]:
    """The board as the JSON object that Grafana provisions."""
    return {
        "annotations": {"list": [_reload_annotation()]},
        "description": board.about,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,  # one crosshair through all panels
        "links": [{
            "asDropdown": False, "icon": "external link", "includeVars": True, "keepTime": True, "tags": ["avert"],
            "targetBlank": False, "title": "Avert", "type": "dashboards",
        }],
        "panels": _lay_out(board.rows),
        "preload": False,
        "refresh": board.refresh,
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["avert", *board.tags],
        "templating": {"list": [_datasource_variable(), *map(_query_variable, board.variables)]},
        "time": {"from": board.time_from, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "title": board.title,
        "uid": board.uid,
        "version": 1,
    }


def _lay_out(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Panels with ids and places: a row's heading is one unit high, its panels wrap at GRID_COLUMNS."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        placed.append(_row_heading(row.title, len(placed) + 1, top))
        top += 1
        left, line_height = 0, 0
        for panel in row.panels:
            if left + panel.width > GRID_COLUMNS:
                left, top, line_height = 0, top + line_height, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            placed.append(_panel(panel, len(placed) + 1, place))
            left, line_height = left + panel.width, max(line_height, panel.height)
        top += line_height
    return placed


def _row_heading(title: str, number: int, top: int) -> dict[str, Any]:
    place = {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": top}
    return {"collapsed": False, "gridPos": place, "id": number, "panels": [], "title": title, "type": "row"}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    common: dict[str, Any] = {
        "description": panel.about, "gridPos": place, "id": number, "title": panel.title, "type": panel.kind,
    }
    if panel.kind == "text":
        return common | {"options": {"content": panel.text, "mode": "markdown"}, "transparent": True}
    return common | {
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [_colour(*pair) for pair in panel.colours]},
        "options": _OPTIONS[panel.kind](panel),
        "targets": [_target(panel, query, index) for index, query in enumerate(panel.queries)],
    } | _transformations(panel)


def _target(panel: Panel, query: Query, index: int) -> dict[str, Any]:
    at_once = panel.kind in ("table", "bargauge")  # these show the present, not a curve
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
        "instant": at_once,
        "legendFormat": query.legend or "__auto",
        "range": not at_once,
        "refId": chr(ord("A") + index),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, str | float | None]] = [{"color": panel.base_colour, "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in panel.thresholds]
    defaults: dict[str, Any] = {
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "mappings": [],
        "noValue": "-",
        "thresholds": {"mode": "absolute", "steps": steps},
        "unit": panel.unit,
    }
    limits = {"min": panel.minimum, "max": panel.maximum, "decimals": panel.decimals}
    defaults |= {name: value for name, value in limits.items() if value is not None}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "drawStyle": "line", "fillOpacity": 35 if panel.stacked else 10, "gradientMode": "opacity",
            "lineInterpolation": "smooth", "lineWidth": 2, "showPoints": "never", "spanNulls": False,
            "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
        }
    return defaults


def _timeseries_options(panel: Panel) -> dict[str, Any]:
    return {
        "legend": {
            "calcs": ["lastNotNull", "max"], "displayMode": "table" if panel.width >= 12 else "list",
            "placement": "bottom", "showLegend": True,
        },
        "tooltip": {"hideZeros": False, "mode": "multi", "sort": "desc"},
    }


def _stat_options(_panel: Panel) -> dict[str, Any]:
    return {
        "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto",
    }


def _bargauge_options(_panel: Panel) -> dict[str, Any]:
    return {
        "displayMode": "gradient", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }


def _table_options(_panel: Panel) -> dict[str, Any]:
    return {"cellHeight": "sm", "footer": {"show": False}, "showHeader": True}


def _heatmap_options(panel: Panel) -> dict[str, Any]:
    return {
        "calculate": False,
        "cellGap": 1,
        "color": {"exponent": 0.5, "mode": "scheme", "scheme": "Blues", "steps": 64},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": panel.unit},
    }


_OPTIONS = {
    "timeseries": _timeseries_options, "stat": _stat_options, "bargauge": _bargauge_options,
    "table": _table_options, "heatmap": _heatmap_options,
}


def _transformations(panel: Panel) -> dict[str, Any]:
    """A table's queries become one table with the columns asked for, in their order; nothing for other kinds."""
    if panel.kind != "table":
        return {}
    order = {source: index for index, (source, _) in enumerate(panel.columns)}
    keep = "|".join(f"^{source}$" for source, _ in panel.columns)
    return {"transformations": [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"pattern": keep}}},
        {"id": "organize", "options": {"indexByName": order, "renameByName": dict(panel.columns)}},
    ]}


def _colour(series: str, colour: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": series},
        "properties": [{"id": "color", "value": {"fixedColor": colour, "mode": "fixed"}}],
    }


def _datasource_variable() -> dict[str, Any]:
    return {
        "current": {}, "hide": 0, "label": "Data source", "name": "datasource", "options": [], "query": "prometheus",
        "refresh": 1, "regex": "", "type": "datasource",
    }


def _query_variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.label})"
    return {
        "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "datasource": DATASOURCE,
        "hide": 0, "includeAll": True, "label": variable.heading, "multi": True,
        "name": variable.name, "options": [], "query": {"qryType": 1, "query": query, "refId": "variable"},
        "refresh": 2, "regex": "", "sort": 1, "type": "query",
    }


def _reload_annotation() -> dict[str, Any]:
    """A line through every panel at the moment when new rules came into force."""
    return {
        "datasource": DATASOURCE, "enable": True, "expr": "changes(avert_rules_loaded_timestamp_seconds[1m]) > 0",
        "hide": False, "iconColor": PURPLE, "name": "Rules reloaded", "step": "15s", "titleFormat": "Rules reloaded",
        "useValueForTime": False,
    }
