"""Costs from a file: what is read, and what every error says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streams.errors import SettingsError
from streams.plan.costs import COSTS
from streams.plan.costs_file import read_costs


def written(folder: Path, text: str) -> Path:
    path = folder / "costs.yaml"
    path.write_text(text)
    return path


def test_a_line_a_figure(tmp_path: Path) -> None:
    assert read_costs(written(tmp_path, "worker_us: 18  # bench.curve\nread_us: 99.5\n")) == {
        "worker_us": 18, "read_us": 99.5,
    }  # fmt: skip


def test_what_the_command_writes_can_be_read_again(tmp_path: Path) -> None:
    listed = json.dumps({name: {"value": cost.value, "unit": cost.unit} for name, cost in COSTS.items()}, indent=2)

    assert read_costs(written(tmp_path, listed)) == {name: cost.value for name, cost in COSTS.items()}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_costs(written(tmp_path, "# nothing measured yet\n")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker_ms: 1\n", "1:1: there is no cost `worker_ms`; did you mean `worker_us`?"),
        ("read_us: 9\nworker_us: fast\n", "2:12: the cost worker_us must be a number greater than zero"),
        ("worker_us: 0\n", "1:12: the cost worker_us must be a number greater than zero"),
        ("worker_us: true\n", "1:12: the cost worker_us must be a number greater than zero"),
        ("worker_us: {unit: us}\n", "1:12: the cost worker_us has no `value`"),
        ("- worker_us\n", "1:1: costs are lines `NAME: NUMBER`; `avert plan costs` lists the names"),
        ("worker_us: 1\nworker_us: 2\n", "2:1: the key `worker_us` stands here twice; first on line 1"),
    ],
)
def test_an_error_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        read_costs(path)

    assert str(refused.value) == f"{path}:{message}"


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read_costs(written(tmp_path, "worker_us: -1\nread_us: x\n"))

    assert len(str(refused.value).splitlines()) == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.yaml cannot be read: No such file or directory"):
        read_costs(tmp_path / "nothing.yaml")
