"""`avert impact --url` against what really runs: events over HTTP, a worker that counts them, the API that adds up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams import cli
from streams.embedded.local import Local
from streams.settings import Settings
from tests.support.waiting import wait_for

RULES = Path(__file__).parents[2] / "rules"
# Who walks how far along `buy` of rules/funnels.yaml: visitors, and the steps that they take.
PRODUCT = {"page": {"path": "/p/kettle"}}
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("search", {"props": {"results": 3}}), ("page_view", PRODUCT), ("add_to_cart", {}),
    ("purchase", {"props": {"total": 39.0}}),
)  # fmt: skip
WALKS = {"turns back": ([0], 5), "looks": ([0, 1], 4), "skips the product": ([0, 2], 3), "arrives": ([0, 1, 2, 3], 2)}
ENTERED = sum(number for _, number in WALKS.values())


def walks() -> list[dict[str, Any]]:
    """The events of all walks: a second between the steps."""
    begun = int((time.time() - 10) * 1000)
    return [
        {"id": f"{walk} {who} {step}", "visitor": f"{walk} {who}", "ts": begun + 1000 * number, "type": kind, **fields}
        for walk, (steps, visitors) in WALKS.items() for who in range(visitors)
        for number, step in enumerate(steps) for kind, fields in [STEPS[step]]
    ]  # fmt: skip


def test_the_report_of_a_running_system_counts_every_journey(capsys: pytest.CaptureFixture[str]) -> None:
    with Local(Settings(rules_dir=RULES, partitions=2)) as local:
        headers = {"Authorization": f"Bearer {local.keys.server}"}
        sent = httpx.post(f"{local.api_url}/v1/events", json={"events": walks()}, headers=headers)
        assert (sent.status_code, sent.json()["accepted"]) == (202, len(walks())), sent.text
        arms: list[dict[str, Any]] = []

        def all_are_counted() -> bool:
            assert cli.main(["impact", "--url", local.api_url, "--key", local.keys.server, "--json"]) == 0
            funnels = {funnel["funnel"]: funnel for funnel in json.loads(capsys.readouterr().out)["funnels"]}
            arms[:] = funnels["buy"]["arms"] if "buy" in funnels else []  # nobody may have told the API of funnels yet
            return sum(arm["steps"][-1]["reached"] for arm in arms) == WALKS["arrives"][1] and (
                sum(arm["entered"] for arm in arms) == ENTERED
            )

        wait_for(all_are_counted, "the worker has counted every journey, and the API has heard of it")
        reached = [sum(arm["steps"][step]["reached"] for arm in arms) for step in range(len(STEPS))]
        assert reached == [14, 6, 5, 2]
        assert sum(arm["completed"] for arm in arms) == 2
        assert sum(arm["steps"][1]["skipped"] * arm["entered"] for arm in arms) == pytest.approx(3)

        assert cli.main(["impact", "--url", local.api_url, "--key", local.keys.server]) == 0
        assert "funnel buy" in capsys.readouterr().out
