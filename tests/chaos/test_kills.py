"""Workers killed: at every marked point between the steps, at random moments, while they hand over."""

from __future__ import annotations

import random
import signal

import pytest

from tests.chaos.conftest import Build
from tests.chaos.house import SEED, House
from tests.chaos.process import POINTS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_500)]

RANDOM_KILLS = 8
# In hand-over: only a worker that is not alone is asked to hand over.
ALONE = tuple(point for point in POINTS if point != "in-hand-over")
FEW = ("in-recovery", "before-commit", "after-commit")


@pytest.mark.fault("SIGKILL at every marked point between the steps")
def test_killed_at_every_marked_point(shared: Build) -> None:
    chance = random.Random(SEED)
    # Of effects and changelog there is one a batch; of the others few a life.
    fates = [(point, 1 if point in FEW else chance.randrange(3, 12), "kill") for point in ALONE]
    with shared().open() as house:
        worker = house.hand("w", *fates[0])
        worker.wanted = False  # here the test is the supervisor
        house.begin()
        for (point, *_), following in zip(fates, [*fates[1:], ()], strict=True):
            house.until(lambda: not worker.alive, f"the worker dies {point}")
            assert worker.program.child.exit_code == -signal.SIGKILL, worker.program.child.last_words()
            house.act(f"killed {point}")
            worker.start(*following)
            worker.wanted = not following
        house.all_ready()
        finish_with_repeats(house)


def finish_with_repeats(house: House) -> None:
    house.finish()
    assert house.figures.repeats > 0, "the kills have interrupted nothing"


@pytest.mark.slow
@pytest.mark.fault("SIGKILL at random moments: at work, starting, recovering")
def test_killed_at_random(shared: Build) -> None:
    chance = random.Random(SEED)
    with shared().open() as house:
        worker = house.hand("w")
        house.begin()
        for number in range(RANDOM_KILLS):
            if number % 4 != 3:
                house.until(lambda: worker.ready, "it works")
            house.rest(chance.uniform(0.3, 3.0))
            house.act(f"killed, {number}")
            worker.kill()
            house.until(lambda: worker.alive, "the supervisor has started it again")
        finish_with_repeats(house)


@pytest.mark.fault("SIGKILL while partitions are handed over")
@pytest.mark.slow
def test_killed_in_a_hand_over(shared: Build) -> None:
    with shared().open() as house:
        house.hand("a", "in-hand-over", 1, "kill")
        house.begin()
        house.act("a second one comes, and the first dies handing over")
        house.hand("b")
        house.until(lambda: house.hands[0].lives == 2, "it has died, and lives again")
        house.all_ready()
        house.finish(pauses=True)
