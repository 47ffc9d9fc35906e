"""The commands: what they say, and with which code they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streams import cli
from streams.settings import Settings, settings_environment

ROOT = Path(__file__).resolve().parents[1]
GOOD = ROOT / "rules"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "outcomes.yaml").write_text("currency: EUR\noutcomes:\n  chat: {kind: nonsense}\n")
    return tmp_path


def test_good_rules_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "check", str(GOOD)]) == 0
    assert "are fine (version " in capsys.readouterr().out


def test_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "check", str(GOOD), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"] >= 8


def test_broken_rules_are_named_with_file_line_and_column(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "check", str(broken)]) == 3
    assert f"{broken}/outcomes.yaml:3:" in capsys.readouterr().err


def test_rule_tests_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "test", str(GOOD)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 0 failed")


def test_rule_test_that_fails_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in GOOD.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text().replace("fires: at 40s", "fires: at 39s"))
    assert cli.main(["rules", "test", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] >= 1


def test_show_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "show", str(GOOD), "--json"]) == 0
    assert "search-dead-end" in {row["rule"] for row in json.loads(capsys.readouterr().out)["rules"]}


def test_who_has_read_enough_hears_no_complaint() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "rules", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == b""
    assert running.returncode == 141


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "schema"]) == 0
    assert "$schema" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, 'avert: Unknown command "nonsense".'),
        (["replay"], 2, "requires an argument"),
        (["replay", "nowhere.jsonl"], 8, "avert: nowhere.jsonl: No such file or directory"),
        (["replay", "nowhere.jsonl", "--map", "id"], 2, "avert: --map wants NAME=NAME and not 'id'"),
        (["replay", "nowhere.jsonl", "--map", "colour=c"], 8, "an event has no field 'colour'"),
        (["replay", "nowhere.jsonl", "--speed", "-1"], 8, "the speed cannot be negative"),
        (["up", "--rules", "nowhere"], 7, "no rule files in nowhere/"),
    ],
)
def test_error_is_one_line_and_a_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_unknown_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AVERT_REDDIS_URL", "x")
    assert cli.main(["rules", "check"]) == 2
    assert "AVERT_REDDIS_URL" in capsys.readouterr().err


def test_replay_says_what_it_did(broker: str, unique: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"who": "v", "t": 1700000000}\nnonsense\n')
    settings = Settings(kafka_bootstrap=broker, app_id=unique, topic_prefix=f"{unique}.", partitions=2)
    # As a process of its own: it sets up logging, which is for the whole process.
    command = [sys.executable, "-m", "streams.cli", "replay", str(path), "--json", "--map", "visitor=who"]
    command += ["--map", "ts=t"]
    replayed = subprocess.run(
        command, cwd=ROOT, env=settings_environment(settings), capture_output=True, text=True, check=False
    )
    assert replayed.returncode == 0, replayed.stderr
    result = json.loads(replayed.stdout)
    assert (result["sent"], result["bad"]) == (1, 1)
    assert f"{path}: line 2: not JSON" in replayed.stderr


def test_doctor_finds_what_is_absent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AVERT_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("AVERT_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("AVERT_RULES_DIR", str(GOOD))
    assert cli.main(["doctor", "--json"]) == 1
    states = {row["subject"]: row["state"] for row in json.loads(capsys.readouterr().out)["findings"]}
    assert states["Kafka"] == states["topics"] == states["Redis"] == "problem"
    assert states["rules"] == "ok"


def test_doctor_finds_nothing_wrong(
    broker: str, redis_url: str, unique: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"KAFKA_BOOTSTRAP": broker, "REDIS_URL": redis_url, "APP_ID": unique, "RULES_DIR": str(GOOD)}
    for name, value in given.items():
        monkeypatch.setenv(f"AVERT_{name}", value)
    assert cli.main(["doctor"]) == 0
    assert "problem" not in capsys.readouterr().out


def test_rules_are_checked_without_faust_or_kafka() -> None:
    code = (
        "import sys; from streams import cli; cli.main(['rules', 'check']);"
        "print([name for name in ('faust', 'aiokafka', 'granian', 'redis') if name in sys.modules])"
    )
    checked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert checked.stdout.splitlines()[-1] == "[]"
