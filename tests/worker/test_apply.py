"""Step 1: records applied in memory. Results, dead letters, poison, timers, forgetting, the clock's headers."""

from __future__ import annotations

import msgspec
import pytest

from streams.core.effects import Decision, EventResult, OutcomeRecord, Refusal, Suggestion
from streams.errors import RowVersionError
from streams.worker.apply import TICK_RETRY_MS, TOMBSTONE_HEADER, Applier, Work
from streams.worker.partition import PartitionMemory
from tests.worker.small import KEEP_MS, SMALL, Record, Small, decode, event_bytes, record

WALL = 2_000_000
LOG = (("avert-clock", b"log"),)
ADVANCE = (("avert-clock", b"advance"),)


@pytest.fixture
def memory() -> PartitionMemory:
    return PartitionMemory(3, SMALL)


def apply(memory: PartitionMemory, *records: Record, caught_up_at: int | None = None) -> Work:
    work = Applier(SMALL, "clicks").apply(memory, list(records), WALL, caught_up_at)
    if records:
        memory.done = records[-1].offset
    return work


def rows_of(work: Work) -> dict[str, Small | None]:
    return {
        row.key.decode(): None if row.value is None else decode(row.key.decode(), row.value)
        for row in work.rows if row.key is not None
    }


def reasons(work: Work) -> list[Refusal]:
    return [letter.reason for _, letter in work.dead]


# --- events ----------------------------------------------------------------------------------------------------


def test_a_visitors_events_are_applied_in_order_and_written_once(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a"), record(1, "b"), record(2, "a"))
    assert {name: (row.total, row.offset) for name, row in rows_of(work).items() if row} == {"a": (5, 2), "b": (2, 1)}
    assert len(work.rows) == 2
    assert work.results == {EventResult.APPLIED: 3}


def test_effects_keep_their_order_and_go_to_their_topics(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a", "fire"), record(1, "b", "fire"))
    assert [type(effect) for effect in work.effects] == [Decision, Suggestion, Decision, Suggestion]
    records = work.records(lambda name: "x-" + name)
    assert {topic: [row.key for row in rows] for topic, rows in records.items()} == {
        "x-decisions": [b"a", b"b"], "x-suggestions": [b"a", b"b"],
    }
    assert msgspec.json.decode(records["x-suggestions"][1].value or b"")["id"] == "s:e1"


def test_receipt_of_the_event_that_made_a_suggestion_is_kept(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a"), record(1, "a", "fire", received=1_500_000))
    assert work.received == [1_500_000]


def test_offset_that_the_memory_has_done_is_replayed(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"), record(1, "a"))
    work = apply(memory, record(0, "a"), record(1, "a"), record(2, "a"))
    assert work.results == {EventResult.REPLAYED: 2, EventResult.APPLIED: 1}
    assert memory.visitor("a").total == 7


def test_offset_that_only_the_row_knows_is_replayed_and_not_written(memory: PartitionMemory) -> None:
    memory.restore(0, "a", SMALL.encode(Small(offset=5, count=1, due=WALL + 1)), -1)
    work = apply(memory, record(4, "a"), record(5, "a"))
    assert work.results == {EventResult.REPLAYED: 2}
    assert work.rows == []


def test_row_of_an_unknown_version_is_not_poison(memory: PartitionMemory) -> None:
    memory.rows["a"] = b"?"
    with pytest.raises(RowVersionError):
        apply(memory, record(0, "a"))


# --- dead letters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "value", "reason"), [
    (b"a", b"{", Refusal.NOT_JSON),
    (b"a", None, Refusal.NOT_JSON),
    (b"a", b"\xff", Refusal.NOT_UTF8),
    (b"a", b"[1]", Refusal.SCHEMA),
    (b"a", b'{"id":"1","visitor":"a","type":"x","ts":NaN}', Refusal.NOT_JSON),
    (b"a", b'{"id":"1","visitor":"a","type":"x","ts":"soon"}', Refusal.SCHEMA),
    (b"a", b" " * 1_000_000, Refusal.TOO_LARGE),
    (b"a", event_bytes("a", "1", props={"a": {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}}}), Refusal.TOO_DEEP),
    (b"a", b'{"id":"1","visitor":"a","type":"X Y","ts":1}', Refusal.BAD_TYPE),
    (None, event_bytes("a", "1"), Refusal.NO_KEY),
    (b"", event_bytes("a", "1"), Refusal.NO_KEY),
    (b"b", event_bytes("a", "1"), Refusal.KEY_MISMATCH),
])
def test_what_is_not_an_event_becomes_a_dead_letter_and_its_neighbours_go_on(
    memory: PartitionMemory, key: bytes | None, value: bytes | None, reason: Refusal
) -> None:
    work = apply(memory, record(0, "a"), Record(1, key, value, 1_000_000), record(2, "a"))
    assert reasons(work) == [reason]
    letter = work.dead[0][1]
    assert (letter.source, letter.at) == ("clicks/3@1", 1_000_000)
    assert rows_of(work)["a"].total == 5
    assert work.results == {EventResult.APPLIED: 2, EventResult.DEAD_LETTER: 1}


def test_a_visitor_with_a_lone_surrogate_does_not_end_the_worker(memory: PartitionMemory) -> None:
    work = apply(memory, Record(0, b"a", b'{"id":"1","visitor":"\\ud800","type":"x","ts":1}', 1_000_000))
    assert len(work.dead) == 1


# --- poison ----------------------------------------------------------------------------------------------------


def test_event_that_the_engine_fails_on_leaves_no_half_of_itself(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"))
    work = apply(memory, record(1, "a"), record(2, "a", "boom"), record(3, "a"))
    state = rows_of(work)["a"]
    assert state is not None
    assert (state.count, state.total, state.offset) == (3, 11, 3)
    assert reasons(work) == [Refusal.ENGINE]
    assert "boom" in work.dead[0][1].detail


def test_poison_first_of_all_leaves_no_visitor(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a", "boom"))
    assert work.rows == []
    assert memory.visitor("a") is None


def test_poison_twice_with_effects_between_repeats_no_effect(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a", "boom"), record(1, "a", "fire"), record(2, "a", "boom"), record(3, "b"))
    assert [effect.id for effect in work.effects if isinstance(effect, Decision)] == ["d:e1"]
    rows = rows_of(work)
    assert rows["a"].count == 1
    assert rows["b"].count == 1


def test_poison_after_a_withdrawn_consent_does_not_bring_the_old_row_back(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"))
    work = apply(memory, record(1, "a", context={"consent": False}), record(2, "a"), record(3, "a", "boom"))
    state = rows_of(work)["a"]
    assert state is not None
    assert (state.count, state.total) == (1, 4)


def test_timer_that_the_engine_fails_on_is_a_dead_letter_and_waits(memory: PartitionMemory) -> None:
    apply(memory, record(0, "tick-boom", "wait", props={"ms": 10}))
    work = apply(memory, caught_up_at=1_000_010)
    assert reasons(work) == [Refusal.ENGINE]
    assert memory.visitor("tick-boom").count == 1
    assert apply(memory, caught_up_at=1_000_010 + TICK_RETRY_MS - 1).dead == []
    assert reasons(apply(memory, caught_up_at=1_000_010 + TICK_RETRY_MS)) == [Refusal.ENGINE]


# --- timers and forgetting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("caught_up_at", "outcomes"), [(1_000_499, 0), (1_000_500, 1), (1_000_501, 1)])
def test_wall_time_wakes_a_visitor_when_it_is_due(memory: PartitionMemory, caught_up_at: int, outcomes: int) -> None:
    apply(memory, record(0, "a", "wait", props={"ms": 500}))
    work = apply(memory, caught_up_at=caught_up_at)
    assert [type(effect) for effect in work.effects] == [OutcomeRecord] * outcomes


def test_another_visitors_record_wakes_a_visitor(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a", "wait", props={"ms": 500}))
    work = apply(memory, record(1, "b", at=1_000_600))
    assert [effect.id for effect in work.effects if isinstance(effect, OutcomeRecord)] == ["o:a:1000500"]


def test_visitor_in_whom_nothing_matters_stays_until_its_events_are_committed(memory: PartitionMemory) -> None:
    apply(memory, record(7, "a", "wait", props={"ms": 500}))
    work = apply(memory, caught_up_at=1_000_500)
    assert rows_of(work)["a"].offset == 7
    assert apply(memory, caught_up_at=1_000_600).rows == []  # and is not written again and again
    memory.commit(7)
    assert apply(memory, caught_up_at=1_000_600).rows == []
    memory.commit(8)
    work = apply(memory, caught_up_at=1_000_600)
    assert [(row.key, row.value, row.headers) for row in work.rows] == [(b"a", None, [(TOMBSTONE_HEADER, b"7")])]
    assert memory.rows == {}
    assert memory.hot == {}


def test_visitor_whose_events_are_committed_goes_at_once(memory: PartitionMemory) -> None:
    apply(memory, record(7, "a"))
    memory.commit(8)
    work = apply(memory, caught_up_at=1_000_000 + KEEP_MS)
    assert [(row.key, row.value) for row in work.rows] == [(b"a", None)]


def test_event_of_a_doomed_visitor_lets_it_live(memory: PartitionMemory) -> None:
    apply(memory, record(7, "a", "wait", props={"ms": 500}))
    apply(memory, caught_up_at=1_000_500)
    apply(memory, record(8, "a", at=1_000_600))
    memory.commit(9)
    apply(memory, caught_up_at=1_000_700)
    assert memory.visitor("a").count == 2


def test_withdrawn_consent_buries_at_once_and_earlier_events_stay_dead(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"))
    work = apply(memory, record(1, "a"), record(2, "a", context={"consent": False}))
    assert [(row.key, row.value, row.headers) for row in work.rows] == [(b"a", None, [(TOMBSTONE_HEADER, b"2")])]
    fresh = PartitionMemory(3, SMALL)  # another worker, from the changelog, with the commit at 1
    fresh.restore(0, "a", None, 2)
    work = apply(fresh, record(1, "a"), record(2, "a", context={"consent": False}), record(3, "a"))
    assert work.results == {EventResult.REPLAYED: 2, EventResult.APPLIED: 1}


def test_event_without_consent_of_an_unknown_visitor_leaves_nothing(memory: PartitionMemory) -> None:
    work = apply(memory, record(0, "a", context={"consent": False}))
    assert (work.rows, work.results) == ([], {EventResult.NO_CONSENT: 1})


def test_consent_withdrawn_and_given_again_in_one_batch_starts_anew(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a"))
    work = apply(memory, record(1, "a", context={"consent": False}), record(2, "a"))
    assert rows_of(work)["a"].count == 1


# --- the clock's headers ---------------------------------------------------------------------------------------


def test_wall_time_does_not_move_the_clock_after_a_replayed_record(memory: PartitionMemory) -> None:
    replayed = record(0, "a", "wait", props={"ms": 500})._replace(headers=LOG)
    work = apply(memory, replayed, caught_up_at=WALL)
    assert work.effects == []
    assert memory.clock == 1_000_000


def test_record_without_the_header_lets_wall_time_move_the_clock_again(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a", "wait", props={"ms": 500})._replace(headers=LOG))
    work = apply(memory, record(1, "b", at=1_000_100), caught_up_at=WALL)
    assert len(work.effects) == 1


def test_advance_moves_the_clock_and_is_no_event(memory: PartitionMemory) -> None:
    apply(memory, record(0, "a", "wait", props={"ms": 500})._replace(headers=LOG))
    work = apply(memory, Record(1, b"", b"", 1_000_500, ADVANCE))
    assert len(work.effects) == 1
    assert (work.dead, sum(work.results.values())) == ([], 0)
    assert not memory.follows_wall
