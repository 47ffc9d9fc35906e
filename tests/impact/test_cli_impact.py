"""`avert impact` as it is typed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from streams import cli
from tests.impact.test_assess import arm, totals
from tests.impact.three_arms import FOLDER

RECORDED = ["impact", "--from", str(FOLDER / "events.jsonl"), str(FOLDER / "calls.csv"),
            "--mapping", str(FOLDER / "mapping.yaml")]  # fmt: skip
TOTALS = msgspec.json.encode(totals([arm("control", 2_000, 400), arm("treated", 18_000, 2_700)]))


def test_a_recorded_experiment_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*RECORDED, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    known = json.loads((FOLDER / "expected.json").read_text())["arms"]
    [rule] = report["rules"]
    assert rule["exposed"] == {name: arm["visitors"] for name, arm in known.items()}
    for one in rule["arms"]:
        seen, wanted = one["primary"]["treated"], known[one["arm"]]["phone_call"]
        assert (seen["with_outcome"], seen["count"], seen["amount"]) == (
            wanted["visitors"], wanted["count"], float(wanted["amount"]),
        )  # fmt: skip


def test_on_the_terminal_it_says_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(RECORDED) == 0
    out = capsys.readouterr().out
    assert "guided: Helps:" in out
    assert "short: Too early to say" in out
    assert "9,610.45" in " ".join(out.split())


def test_the_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*RECORDED, "--html", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_kept_totals_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "totals.json"
    assert cli.main([*RECORDED, "--json", "--save-totals", str(kept)]) == 0
    first = capsys.readouterr().out
    assert cli.main(["impact", "--totals", str(kept), "--json"]) == 0
    assert capsys.readouterr().out == first


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = (self.path, self.headers.get("Authorization")) == ("/v1/impact", "Bearer sk_1")
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(TOTALS if good else b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_running_api_is_asked_with_the_server_key(
    api: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("sk_1\n")
    assert cli.main(["impact", "--url", api, "--key-file", str(tmp_path / "key"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"][0]["arms"][0]["verdict"]["kind"] == "helps"
    assert cli.main(["impact", "--url", api, "--key", "wrong"]) == 1
    assert "401" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "one source"),
        (["--url", "http://x", "--totals", "y"], 2, "one source"),
        (["--from", "x.jsonl"], 2, "--mapping"),
        (["--mapping", "x.yaml"], 2, "--from"),
        (["--url", "ftp://x", "--key", "k"], 2, "--url wants"),
        (["--url", "http://127.0.0.1:9"], 2, "server key"),
        (["--url", "http://127.0.0.1:9", "--key", "k"], 1, "refused"),
        (["--totals", "/none.json"], 1, "No such file"),
        (["--from", "x.txt", "--mapping", str(FOLDER / "mapping.yaml")], 8, "wants the file"),
        (["--totals", str(FOLDER / "expected.json")], 1, "no totals"),
        (["--totals", str(FOLDER / "expected.json"), "--effect", "7"], 1, "no totals"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["impact", *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_totals_that_cannot_be_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.json").write_bytes(msgspec.json.encode(totals([arm("control", 5, 6), arm("treated", 5, 1)])))
    assert cli.main(["impact", "--totals", str(tmp_path / "t.json")]) == 1
    assert "6 of 5 visitors with 6 outcomes cannot be" in capsys.readouterr().err


def test_options_have_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.json").write_bytes(TOTALS)
    for option, value in (("--effect", "7"), ("--nudge-cost", "-1"), ("--planned-visitors", "5")):
        assert cli.main(["impact", "--totals", str(tmp_path / "t.json"), option, value]) == 2
        assert option in capsys.readouterr().err
