"""The dashboards, read as files; their queries are run in tests/ops/test_queries.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from grafana import build
from tests.ops.tools import DASHBOARDS, alerts, metric_families, metrics_named_in, panel_queries, panels

# Links point to them: they never change.
UIDS = {"pipeline": "avert-pipeline", "rules": "avert-rules", "worth": "avert-worth"}
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
