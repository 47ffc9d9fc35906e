"""The memory of one partition: timers, clock, which of two rows wins."""

from __future__ import annotations

import pytest

from streams.worker.partition import CLOCK_AHEAD_MS_MAX, HOT_VISITORS_MAX, PartitionMemory, Timers
from tests.worker.small import NEVER, SMALL, Small, encode

WALL = 10_000_000


def row(offset: int, count: int = 0, due: int = 5_000) -> bytes:
    return encode(Small(offset=offset, count=count, due=due))


def count_of(memory: PartitionMemory, visitor: str) -> int | None:
    state = memory.visitor(visitor)
    return None if state is None else state.count


# --- timers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "woken"), [(99, None), (100, "a"), (101, "a")])
def test_timer_is_popped_at_its_due_not_before(now: int, woken: str | None) -> None:
    timers = Timers()
    timers.wake("a", 100)
    assert timers.pop(now) == woken


def test_timer_that_moves_earlier_is_popped_once_at_the_earlier_time() -> None:
    timers = Timers()
    timers.wake("a", 200)
    timers.wake("a", 100)
    assert timers.pop(150) == "a"
    assert timers.pop(300) is None


def test_timer_that_moves_later_is_popped_at_the_earlier_entry_so_that_the_caller_looks() -> None:
    timers = Timers()
    timers.wake("a", 100)
    timers.wake("a", 200)
    assert timers.pop(100) == "a"


def test_dropped_timer_is_not_popped() -> None:
    timers = Timers()
    timers.wake("a", 100)
    timers.drop("a")
    assert timers.pop(1_000) is None


def test_timers_that_move_earlier_again_and_again_do_not_grow_the_heap() -> None:
    timers = Timers()
    for due in range(100_000, 0, -1):
        timers.wake("a", due)
    assert len(timers._heap) < 2_000
    assert timers.next_due() == 1


# --- clock -----------------------------------------------------------------------------------------------------


def test_clock_is_the_greatest_timestamp_seen() -> None:
    memory = PartitionMemory(0, SMALL)
    for timestamp in (5_000, 7_000, 6_000):
        assert memory.see(timestamp, WALL) == timestamp
    assert memory.clock == 7_000


@pytest.mark.parametrize(("ahead", "believed"), [(-1, True), (0, True), (1, False)])
def test_timestamp_more_than_an_hour_ahead_does_not_move_the_clock(ahead: int, believed: bool) -> None:
    memory = PartitionMemory(0, SMALL)
    memory.see(5_000, WALL)
    timestamp = WALL + CLOCK_AHEAD_MS_MAX + ahead
    assert memory.see(timestamp, WALL) == (timestamp if believed else 5_000)
    assert memory.clock == (timestamp if believed else 5_000)


def test_record_without_a_timestamp_gets_the_clocks() -> None:
    memory = PartitionMemory(0, SMALL)
    assert memory.see(-1, WALL) == WALL
    memory.see(WALL + 5, WALL)
    assert memory.see(-1, WALL) == WALL + 5


def test_wall_moves_the_clock_forward_only() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.see(5_000, WALL)
    memory.advance(4_000)
    assert memory.clock == 5_000
    memory.advance(6_000)
    assert memory.clock == 6_000


def test_wall_does_not_move_the_clock_of_replayed_records() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.follows_wall = False
    memory.advance(WALL)
    assert memory.clock == 0


# --- rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("second", "wins"), [(4, False), (5, True), (6, True)])
def test_of_two_rows_the_higher_offset_wins_and_the_later_at_equal_ones(second: int, wins: bool) -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5, count=1), -1)
    memory.restore(1, "a", row(second, count=2), -1)
    assert count_of(memory, "a") == (2 if wins else 1)


@pytest.mark.parametrize(("zombie", "lives"), [(4, False), (5, False), (6, True)])
def test_row_at_or_below_a_tombstone_does_not_resurrect(zombie: int, lives: bool) -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5), -1)
    memory.restore(1, "a", None, 5)
    memory.restore(2, "a", row(zombie), -1)
    assert ("a" in memory.rows) == lives


def test_zombies_tombstone_below_the_row_does_not_bury_it() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5), -1)
    memory.restore(1, "a", None, 4)
    assert "a" in memory.rows


def test_what_was_read_already_is_not_read_again() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(7, "a", row(5, count=1), -1)
    memory.restore(7, "a", row(9, count=2), -1)
    assert count_of(memory, "a") == 1


def test_retained_memory_is_not_changed_by_a_row_of_what_it_has_done() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5, count=1), -1)
    memory.recovered()
    memory.done = 5
    memory.restore(1, "a", row(5, count=2), -1)
    memory.restore(2, "b", row(3), -1)
    assert count_of(memory, "a") == 1
    assert "b" not in memory.rows


def test_row_that_comes_in_replaces_the_live_object() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5, count=1), -1)
    assert count_of(memory, "a") == 1
    memory.restore(1, "a", row(6, count=2), -1)
    assert count_of(memory, "a") == 2


def test_recovered_rows_have_their_timers() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5, due=700), -1)
    memory.recovered()
    assert memory.timers.pop(699) is None
    assert memory.timers.pop(700) == "a"


def test_recovered_row_without_a_timer_is_looked_at_at_once() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.restore(0, "a", row(5, due=NEVER), -1)
    memory.recovered()
    assert memory.timers.pop(1) == "a"


def test_own_rows_count_as_persisted_while_nobody_wrote_in_between() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.wrote(0, 3)
    assert memory.persisted == 2
    memory.wrote(4, 2)  # offset 3 is somebody else's: the next recovery has to see it
    assert memory.persisted == 2


def test_graves_are_forgotten_when_the_commit_has_passed() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.buried = {"a": 4, "b": 5}
    memory.commit(5)
    assert memory.buried == {"b": 5}


def test_commit_never_goes_back() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.commit(5)
    memory.commit(3)
    assert memory.committed == 5


# --- bounds ----------------------------------------------------------------------------------------------------


def test_live_objects_are_bounded_and_rows_stay() -> None:
    memory = PartitionMemory(0, SMALL)
    number = HOT_VISITORS_MAX + 1
    for index in range(number):
        name = f"v{index}"
        memory.hot[name] = Small(visitor=name, count=index)
        memory.keep(name, memory.hot[name])
    memory.cool()
    assert len(memory.hot) < HOT_VISITORS_MAX
    assert len(memory.rows) == number
    assert count_of(memory, "v0") == 0


def test_live_sessions_are_counted_by_visitor() -> None:
    memory = PartitionMemory(0, SMALL)
    memory.keep("a", Small(visitor="a", sessions=["x", "y"]))
    memory.keep("b", Small(visitor="b", sessions=["z"]))
    memory.keep("a", Small(visitor="a", sessions=["y"]))
    assert memory.sessions == 2
    memory.remove("a")
    assert memory.sessions == 1
