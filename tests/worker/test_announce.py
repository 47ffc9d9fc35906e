from __future__ import annotations

import socket

import pytest

from streams.delivery import RuleNote, WorkerNote
from streams.rulefiles.load import load_rules
from streams.rulefiles.options import engine_options
from streams.settings import Settings
from streams.worker.announce import LIVES_MS, Announcer, notes_of, reachable
from tests.ops.tools import ROOT


class Said:
    """A delivery that only remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[WorkerNote] = []
        self.rules: list[RuleNote] = []

    async def announce(self, note: WorkerNote, rules: list[RuleNote], now_ms: int) -> bool:
        self.notes.append(note)
        self.rules = rules
        return True


async def test_it_says_where_it_is_what_it_has_and_since_when_the_rules_are_in_force() -> None:
    ruleset = load_rules(ROOT / "rules", engine_options(Settings()))
    said, in_force = Said(), [None]
    announcer = Announcer(
        said, lambda: "http://127.0.0.1:9465", lambda: (0, 3), lambda: 8, lambda: in_force[0]
    )
    await announcer.say(1000)
    in_force[0] = ruleset
    await announcer.say(2000)
    await announcer.say(7000)
    assert said.notes == [
        WorkerNote("http://127.0.0.1:9465", (0, 3), 8, version, since, now + LIVES_MS)
        for version, since, now in (("", 0, 1000), (ruleset.version, 2000, 2000), (ruleset.version, 2000, 7000))
    ]
    assert said.rules == notes_of(ruleset)


def test_all_rules_are_told_with_their_modes() -> None:
    ruleset = load_rules(ROOT / "rules", engine_options(Settings()))
    notes = {note.id: note for note in notes_of(ruleset)}
    assert set(notes) == {rule.id for rule in ruleset.program.rules}
    assert notes["search-dead-end"].mode == "live"
    assert notes["search-dead-end"].prevents == "support_chat"
    assert notes["search-dead-end"].version


@pytest.mark.parametrize(
    ("address", "others"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1"), ("http://0.0.0.0:9465", f"http://{socket.gethostname()}:9465"),
        ("http://worker:9465", "http://worker:9465"),
    ],
)
def test_a_server_that_listens_everywhere_is_known_by_the_machines_name(address: str, others: str) -> None:
    assert reachable(address) == others
