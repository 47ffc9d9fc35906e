"""The dashboards, read as files; their queries are run in tests/ops/test_queries.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import build
from grafana.board_runbook import entries
from grafana.kit import Board, Panel, Query, Row, render
from grafana.promql import WINDOW
from tests.ops.tools import DASHBOARDS, ROOT, alerts, metric_families, metrics_named_in, panel_queries, panels

# Links point to them: they never change.
UIDS = {"pipeline": "avert-pipeline", "rules": "avert-rules", "runbook": "avert-runbook", "worth": "avert-worth"}
PANEL_IDS = [f"{board}: {panel['title'] or panel['type']}" for board, panel in panels()]


def boards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}


def test_the_files_are_what_the_description_says() -> None:
    assert build.main(["--check"]) == 0


def test_the_check_names_an_edited_and_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([], tmp_path) == 0
    with (tmp_path / "worth.json").open("a") as file:
        file.write(" ")
    (tmp_path / "rules.json").unlink()
    assert build.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err.startswith("rules.json, worth.json: ")


# What Grafana's Prometheus data source reads of an annotation, and its SDK leaves to the data sources.
_BEYOND_THE_SDK = {"step", "titleFormat"}
GRAFANAS_UNITS = {value for name, value in vars(units).items() if name[0] != "_" and isinstance(value, str)}


def lost(written: Any, read: Any, where: str = "") -> list[str]:
    """What of `written` is not in `read`: keys that Grafana's types do not have, values that they changed."""
    if isinstance(written, dict) and isinstance(read, dict):
        faults = []
        for key, value in written.items():
            if key in read:
                faults += lost(value, read[key], f"{where}.{key}")
            elif value not in (None, "", [], {}, False) and key not in _BEYOND_THE_SDK:  # empty ones are left out
                faults.append(f"{where}.{key}")
        return faults
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        pairs = enumerate(zip(written, read, strict=True))
        return [fault for n, pair in pairs for fault in lost(*pair, f"{where}[{n}]")]
    return [] if written == read else [f"{where}: {written!r} and not {read!r}"]


def as_grafana_reads_it(board: dict[str, Any]) -> dict[str, Any]:
    """The board through the types of Grafana's own SDK, options of each kind of panel included."""
    register_default_plugins()
    read: dict[str, Any] = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    return read


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafanas_own_types_know_every_key(path: Path) -> None:
    board = json.loads(path.read_text(encoding="utf-8"))
    assert lost(board, as_grafana_reads_it(board)) == []


@pytest.mark.parametrize("where", ["dashboard", "panel", "options", "fieldConfig"])
def test_a_key_that_grafana_does_not_know_is_found(where: str) -> None:
    board = render(Board("u", "T", "About.", (), (Row("R", (Panel("P", "About.", (Query("up"),)),)),)))
    panel = board["panels"][1]
    parts = {"dashboard": board, "panel": panel, "options": panel["options"],
             "fieldConfig": panel["fieldConfig"]["defaults"]["custom"]}
    parts[where]["colour"] = "red"
    assert [fault for fault in lost(board, as_grafana_reads_it(board)) if fault.endswith(".colour")]


@pytest.mark.parametrize(("board", "panel"), panels(), ids=PANEL_IDS)
def test_units_and_thresholds_are_grafanas(board: str, panel: dict[str, Any]) -> None:
    if panel["type"] == "text":
        return
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in GRAFANAS_UNITS
    steps = [step["value"] for step in defaults["thresholds"]["steps"]]
    assert steps[0] is None  # the colour below the first
    assert steps[1:] == sorted(steps[1:])


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: query.id)
def test_counters_are_asked_for_their_increase_only(query: Any) -> None:
    """The value of a counter depends on when its process began."""
    families = metric_families()
    for name in re.findall(r"\bavert_[a-z_]+_total\b", query.expr):
        assert families[name][0] == "counter"
        naked = re.sub(rf"(?:rate|increase)\({name}(?:{{[^{{}}]*}})?\[[^]]+\]\)", "", query.expr)
        assert name not in naked


def test_windows_of_rates_follow_the_zoom() -> None:
    windows = {window for query in panel_queries() for window in re.findall(r"\[([^]]+)\]", query.expr)}
    assert windows == {WINDOW, "$__range", "1m"}  # a minute: the annotation's


def test_every_variable_is_used_and_offers_values() -> None:
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
                assert label in (*metric_families()[metric][1], "instance")
                assert any(f"${variable['name']}" in query.expr for query in panel_queries() if query.board == name)


def test_legends_name_labels_that_the_query_keeps() -> None:
    for board, panel in panels():
        for target in panel.get("targets", []):
            asked = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            if kept:
                assert asked <= set(re.split(r", *", kept[0])), f"{board}: {panel['title']}"


def test_boards_link_to_each_other_by_their_tag() -> None:
    for board in boards().values():
        assert "avert" in board["tags"]
        assert [link["tags"] for link in board["links"]] == [["avert"]]


def test_the_runbook_board_has_the_entry_of_every_alert() -> None:
    shown = {panel["title"]: panel["options"]["content"] for board, panel in panels() if board == "runbook"}
    assert set(shown) == set(alerts())
    assert shown == entries((ROOT / "docs/operations.md").read_text(encoding="utf-8"))
    assert not [title for title, text in shown.items() if "](" in text]


def test_uids_stay() -> None:
    assert {name: board["uid"] for name, board in boards().items()} == UIDS


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_ids_of_their_own_and_do_not_overlap(path: Path) -> None:
    placed = json.loads(path.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    cells: set[tuple[int, int]] = set()
    for panel in placed:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & mine, panel["title"]
        cells |= mine


@pytest.mark.parametrize(("board", "panel"), panels(), ids=PANEL_IDS)
def test_a_panel_explains_itself(board: str, panel: dict[str, Any]) -> None:
    if panel["type"] == "text":
        assert panel["options"]["content"]
        return
    assert panel["title"]
    assert len(panel["description"]) > 15
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert {"${datasource}"} == {target["datasource"]["uid"] for target in panel["targets"]}
    for target in panel["targets"]:  # several series need names; Grafana would show the whole label set
        if panel["type"] == "timeseries":
            assert target["legendFormat"] != "__auto", f"{board}: {panel['title']}"


def test_variables_in_queries_are_declared() -> None:
    built_in = {"__rate_interval", "__range"}
    for name, board in boards().items():
        declared = {variable["name"] for variable in board["templating"]["list"]} | built_in
        for query in panel_queries():
            if query.board == name:
                assert set(re.findall(r"\$(\w+)", query.expr)) <= declared, query.id


def test_queries_name_metrics_that_exist() -> None:
    of_the_process = {name for query in panel_queries() for name in metrics_named_in(query.expr) if "process_" in name}
    known = set(metric_families()) | {
        "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds", "process_open_fds",
    }
    assert of_the_process
    unknown = {query.id: metrics_named_in(query.expr) - known for query in panel_queries()}
    assert {name: missing for name, missing in unknown.items() if missing} == {}


def test_every_metric_is_on_a_dashboard_or_in_an_alert() -> None:
    shown = {name for query in panel_queries() for name in metrics_named_in(query.expr)}
    watched = {name for alert in alerts().values() for name in metrics_named_in(alert["expr"])}
    assert set() == set(metric_families()) - shown - watched
