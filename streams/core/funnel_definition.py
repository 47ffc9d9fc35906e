"""What `funnels.yaml` says, as typed, immutable values: the part of the model that is about funnels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # definition.py holds the whole program, funnels included
    from streams.core.definition import Mark, Matcher

CLICKS: Final = ("click", "page_view")
FUNNELS_MAX: Final = 16  # of one set of files: each keeps a state for every visit
STEPS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step: the events that are it, and its name in reports."""

    matcher: Matcher
    label: str = ""


@dataclass(frozen=True, slots=True)
class FunnelDefinition:
    """A way that visitors should go. `within_ms`: how long a journey may take; None: as long as the visit.

    `rule`: whose arms split the journeys; None: those of the global holdout. `clicks`: the event types that are clicks.
    """

    name: str
    title: str
    steps: tuple[FunnelStep, ...]
    mark: Mark = field(compare=False, repr=False)
    within_ms: int | None = None
    rule: str | None = None
    clicks: tuple[str, ...] = CLICKS
