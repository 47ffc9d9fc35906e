"""Where Prometheus' programs are, what the dashboards ask, and what the program measures."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from streams.telemetry import REGISTRY

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"
PROMETHEUS_FILES = GRAFANA / "prometheus"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))

_METRIC_NAME = re.compile(r"\b(?:avert|process)_[a-z_]+\b")
# An instant or range selector of one of our metrics: its name, and its labels when there are some.
_SELECTOR = re.compile(r"\b(?:avert|process)_[a-z_]+\b(?:\{[^{}]*\})?|\bup\{[^{}]*\}")
_HISTOGRAM_SERIES = ("_bucket", "_count", "_sum")


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`. Fails, and says what to do, when it is not installed."""
    path = shutil.which(name)
    assert path, (
        f"`{name}` is not installed, and without it no query can be run: `make servers`, "
        "or `apt-get install prometheus` (Debian's package brings promtool too)"
    )
    return path


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def promtool(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run promtool in the folder of the Prometheus files."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, cwd=PROMETHEUS_FILES, input=stdin, capture_output=True, check=False, timeout=120)


def read_yaml(path: Path) -> Any:
    """The YAML file as plain values (anchors and merge keys resolved)."""
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def records() -> dict[str, str]:
    """Every recording rule: its name, and what it records."""
    groups = read_yaml(PROMETHEUS_FILES / "records.yml")["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def expanded(expr: str) -> str:
    """The expression with what is recorded in place of the recording rules' names."""
    for name, recorded in records().items():
        expr = expr.replace(name, f"({recorded})")
    return expr


class PanelQuery(NamedTuple):
    """One query of one panel."""

    board: str
    panel: str
    expr: str

    @property
    def id(self) -> str:
        """How the query is called in the tests' output and in lists of exceptions."""
        return f"{self.board}: {self.panel}"


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Every panel of every dashboard, with its board's file name; rows' headings are not panels."""
    return [
        (path.stem, panel)
        for path in DASHBOARDS
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
        if panel["type"] != "row"
    ]


def panel_queries() -> list[PanelQuery]:
    """Every query of every panel, and of every annotation."""
    found = [
        PanelQuery(board, panel["title"], target["expr"])
        for board, panel in panels()
        for target in panel.get("targets", [])
    ]
    for path in DASHBOARDS:
        annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]["list"]
        found += [PanelQuery(path.stem, f"annotation {each['name']}", each["expr"]) for each in annotations]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name."""
    groups = read_yaml(PROMETHEUS_FILES / "alerts.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def metric_families() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every metric that the program defines: its name as queries write it, its type, its labels."""
    families = {}
    for metric in list(REGISTRY._collector_to_names):  # prometheus_client lists them nowhere else
        if not hasattr(metric, "_labelnames"):
            continue  # the process collector: not ours to define
        suffix = "_total" if metric._type == "counter" else ""
        families[metric._name + suffix] = (metric._type, tuple(metric._labelnames))
    return families


def metrics_named_in(expr: str) -> set[str]:
    """The metrics that an expression reads, histograms by the name of their family."""
    names = set()
    for name in _METRIC_NAME.findall(expanded(expr)):
        histogram = next((name.removesuffix(end) for end in _HISTOGRAM_SERIES if name.endswith(end)), name)
        names.add(histogram if histogram in metric_families() else name)
    return names


def selectors_in(expr: str) -> set[str]:
    """The series selectors in an expression, without their windows."""
    return set(_SELECTOR.findall(expr))
