"""A recorded experiment: rows of files and a mapping to exact totals.

1. A row is an exposure if it passes `where`, passes none of `exclude`, and lies in the window. A second row with the
   same id is a duplicate. The first exposure by time (of equal times, and without times, the first in the files)
   decides the arm and the moment. Who is in two arms is left out of both, or stays in the first, as the mapping says.
2. An outcome row is credited to its visitor if he was exposed, at or after the exposure and less than the attribution
   window later (the engine's own law, `core.outcome.credited`). Everything else is counted by its reason and shown.
3. Amounts are whole micro-units, made of decimal numbers as written: no sum depends on the order of rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path

from streams.impact.mapping import Experiment, OutcomeSource, Source
from streams.impact.model import (
    ArmTotals,
    CostVersion,
    Look,
    LookArm,
    Note,
    OutcomeInfo,
    OutcomeTotals,
    RuleTotals,
    Totals,
)
from streams.impact.rows import Line, field_of, lines_of, micros_of, row_test, word_of
from streams.replay import BadLine, ReplayError, epoch_ms

LOOKS = 60  # moments at which the running interval is drawn
EXAMPLES_MAX = 3  # of what was left out, named in a note


def totals_of(files: Sequence[Path], experiment: Experiment) -> Totals:
    """The totals of a recorded experiment. Raises ReplayError when a file cannot be read, or nothing fits."""
    if len(set(files)) < len(files):
        raise ReplayError("a file is named twice: its rows would count twice")
    named = [("exposures", experiment.exposures), *((one.name, one.source) for one in experiment.outcomes)]
    for name, source in named:
        for pattern in source.files:
            if not any(_fits(path, pattern) for path in files):
                raise ReplayError(f"`{name}` wants the file {pattern!r}, which is not among those given")
    left_out = LeftOut()
    exposures = _exposures(files, experiment, left_out)
    taken = [Credits(outcome, experiment, exposures, left_out) for outcome in experiment.outcomes]
    for path in files:
        meant = [credit for credit in taken if _means(credit.source, path)]
        for line in _good(path, left_out) if meant else ():
            for credit in meant:
                credit.take(line, path)
    return _totals(files, experiment, exposures, taken, left_out)


def _fits(path: Path, pattern: str) -> bool:
    return fnmatch(path.name, pattern) or fnmatch(str(path), pattern)


def _means(source: Source, path: Path) -> bool:
    return not source.files or any(_fits(path, pattern) for pattern in source.files)


def _good(path: Path, left_out: LeftOut) -> Iterator[Line]:
    for line in lines_of(path):
        if isinstance(line, BadLine):
            left_out.line(path, line)
        else:
            yield line


class LeftOut:
    """Counts what was not used, by reason, and remembers the first of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._lines: set[tuple[str, int]] = set()  # a file is read for exposures, and again for outcomes

    def count(self, reason: str, example: str = "") -> None:
        """One more for this reason."""
        self.counts[reason] += 1
        known = self._examples.setdefault(reason, [])
        if example and len(known) < EXAMPLES_MAX and example not in known:
            known.append(example)

    def line(self, path: Path, bad: BadLine) -> None:
        """A line that is no row."""
        if (str(path), bad.number) not in self._lines:
            self._lines.add((str(path), bad.number))
            self.count("lines that are no rows", f"{path.name} line {bad.number}: {bad.why}")

    def notes(self) -> list[Note]:
        """All reasons, in the order in which they were met."""
        return [
            Note(text=reason + (f" ({'; '.join(self._examples[reason])})" if self._examples.get(reason) else ""),
                 count=number)
            for reason, number in self.counts.items()
        ]  # fmt: skip


class Rows:
    """The rows that a source means, each once: `where`, `exclude`, ids, and the row's time."""

    def __init__(self, source: Source, what: str, left_out: LeftOut) -> None:
        self.source, self.what, self.left_out = source, what, left_out
        self._where = row_test(source.where)
        self._exclude = [row_test(tests) for tests in source.exclude]
        self._ids: set[str] = set()

    def visitor_of(self, line: Line, path: Path) -> tuple[str, int | None] | None:
        """The visitor and the time of a row that counts; None for another one, which is noted."""
        if not self._where(line):
            return None
        if any(test(line) for test in self._exclude):
            self.left_out.count(f"{self.what}: rows that `exclude` leaves out")
            return None
        visitor = word_of(field_of(line.row, self.source.visitor))
        if visitor is None:
            self.left_out.count(f"{self.what}: no visitor in `{self.source.visitor}`", f"{path.name} {line.number}")
            return None
        at = None
        if self.source.time:
            try:
                at = epoch_ms(_plain(field_of(line.row, self.source.time)))
            except (ValueError, TypeError, OverflowError):
                self.left_out.count(f"{self.what}: no time in `{self.source.time}`", f"{path.name} {line.number}")
                return None
        name = word_of(field_of(line.row, self.source.id)) if self.source.id else None
        if name is not None:
            if name in self._ids:
                self.left_out.count(f"{self.what}: duplicates by `{self.source.id}`")
                return None
            self._ids.add(name)
        return visitor, at


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value  # seconds with a fraction


# --- exposures -------------------------------------------------------------------------------------------------


class Exposure:
    """One visitor's first exposure, and every arm that he was seen in."""

    __slots__ = ("arm", "at", "seen")

    def __init__(self, arm: str, at: int | None) -> None:
        self.arm, self.at, self.seen = arm, at, {arm}


def _exposures(files: Sequence[Path], experiment: Experiment, left_out: LeftOut) -> dict[str, Exposure]:
    rows, window = Rows(experiment.exposures, "exposures", left_out), experiment.window
    found: dict[str, Exposure] = {}
    for path in files:
        for line in _good(path, left_out) if _means(experiment.exposures, path) else ():
            counted = rows.visitor_of(line, path)
            if counted is None:
                continue
            visitor, at = counted
            if not _within(at, window.start, window.until):
                left_out.count("exposures: outside the window")
                continue
            value = word_of(field_of(line.row, experiment.arm))
            arm = experiment.arms.get(value) if value is not None else None
            if arm is None:
                left_out.count(f"exposures: `{experiment.arm}` says no known arm", repr(value))
                continue
            known = found.setdefault(visitor, Exposure(arm, at))
            known.seen.add(arm)
            if at is not None and known.at is not None and at < known.at:
                known.at, known.arm = at, arm
    if not found:
        said = "; ".join(f"{note.count} {note.text}" for note in left_out.notes()) or "none passes its `where`"
        raise ReplayError(f"no row of {', '.join(path.name for path in files)} is an exposure: {said}")
    return found


def _within(at: int | None, start: int | None, until: int | None) -> bool:
    return at is None or ((start is None or at >= start) and (until is None or at < until))


def _counts(exposure: Exposure, experiment: Experiment) -> bool:
    """Whether the visitor belongs to an arm."""
    return len(exposure.seen) == 1 or experiment.two_arms == "first"


# --- outcomes --------------------------------------------------------------------------------------------------


class Credit:
    """What one visitor was credited with of one outcome."""

    __slots__ = ("count", "first", "micros", "unpriced")

    def __init__(self) -> None:
        self.count = self.micros = self.unpriced = 0
        self.first: int | None = None


class Credits:
    """One outcome: takes its rows, gives its totals."""

    def __init__(
        self, outcome: OutcomeSource, experiment: Experiment, exposures: dict[str, Exposure], left_out: LeftOut
    ) -> None:
        self.outcome, self.experiment, self.exposures, self.left_out = outcome, experiment, exposures, left_out
        self.source = outcome.source
        self.by_visitor: dict[str, Credit] = {}
        self._rows = Rows(outcome.source, outcome.name, left_out)

    def take(self, line: Line, path: Path) -> None:
        """Credit a row, or note why not."""
        counted = self._rows.visitor_of(line, path)
        if counted is None:
            return
        visitor, at = counted
        refused = self._refused(visitor, at)
        if refused:
            self.left_out.count(f"{self.outcome.name}: {refused}")
            return
        credit = self.by_visitor.setdefault(visitor, Credit())
        credit.count += 1
        if at is not None:
            credit.first = at if credit.first is None else min(credit.first, at)
        amount = self.outcome.amount
        if amount is not None:
            value = amount.fixed if amount.fixed is not None else field_of(line.row, amount.of)
            micros = micros_of(value, amount.times)
            if micros is None:
                credit.unpriced += 1
                self.left_out.count(f"{self.outcome.name}: counted without an amount", f"{amount.of} = {value!r}")
            else:
                credit.micros += micros

    def _refused(self, visitor: str, at: int | None) -> str:
        exposure, experiment = self.exposures.get(visitor), self.experiment
        if exposure is None:
            return "of visitors who were not exposed"
        if not _counts(exposure, experiment):
            return "of visitors in two arms"
        if not _within(at, None, experiment.window.outcomes_until):
            return "after the end of the window"
        if at is None or exposure.at is None:
            return ""
        if at < exposure.at:
            return "" if self.outcome.before == "count" else "before the exposure"
        window = experiment.attribution_ms
        return "after the attribution window" if window is not None and at - exposure.at >= window else ""

    def info(self) -> OutcomeInfo:
        """The outcome as declared, with its one price."""
        amount, taken = self.outcome.amount, self.by_visitor.values()
        price = [] if amount is None else [CostVersion(
            version="mapping", text=str(amount), count=sum(credit.count for credit in taken),
            micros=sum(credit.micros for credit in taken),
        )]  # fmt: skip
        return OutcomeInfo(
            name=self.outcome.name, kind=self.outcome.kind, label=self.outcome.label, unit=self.outcome.unit,
            versions=price,
        )

    def add_to(self, arms: dict[str, ArmTotals]) -> None:
        """Write its totals into the arms."""
        for arm in arms.values():
            arm.outcomes[self.outcome.name] = OutcomeTotals()
        for visitor, credit in self.by_visitor.items():
            totals = arms[self.exposures[visitor].arm].outcomes[self.outcome.name]
            totals.visitors += 1
            totals.count += credit.count
            totals.unpriced += credit.unpriced
            totals.micros += credit.micros
            totals.micros_squared += credit.micros**2


# --- totals ----------------------------------------------------------------------------------------------------


def _totals(
    files: Sequence[Path], experiment: Experiment, exposures: dict[str, Exposure], taken: Sequence[Credits],
    left_out: LeftOut,
) -> Totals:
    arms = {name: ArmTotals(arm=name) for name in dict.fromkeys(experiment.arms.values())}
    counted = {visitor: one for visitor, one in exposures.items() if _counts(one, experiment)}
    for one in counted.values():
        arm = arms[one.arm]
        arm.visitors += 1
        if experiment.nudge_cost and one.arm != experiment.control:
            arm.suggestions.made += 1
        if one.at is not None:
            arm.first_exposure = one.at if arm.first_exposure is None else min(arm.first_exposure, one.at)
            arm.last_exposure = one.at if arm.last_exposure is None else max(arm.last_exposure, one.at)
    in_two = sum(len(one.seen) > 1 for one in exposures.values())
    if in_two:
        fate = "left out" if experiment.two_arms == "exclude" else "counted in the first"
        left_out.counts[f"visitors in two arms, {fate}"] = in_two
    for credit in taken:
        credit.add_to(arms)
    primary = next(credit for credit in taken if credit.outcome.name == experiment.primary)
    _count_instead(arms, primary, taken)
    rule = RuleTotals(
        rule=experiment.name, title=experiment.title, target=experiment.primary, measure=experiment.measure,
        control=experiment.control, shares=experiment.shares or {}, arms=list(arms.values()),
        looks=_looks(counted, primary, list(arms)),
    )
    return Totals(
        source=", ".join(path.name for path in files), currency=experiment.currency,
        at=max((arm.last_exposure for arm in arms.values() if arm.last_exposure is not None), default=None),
        attribution_window_ms=experiment.attribution_ms, outcomes=[credit.info() for credit in taken],
        rules=[rule], notes=left_out.notes(),
    )


def _count_instead(arms: dict[str, ArmTotals], primary: Credits, taken: Sequence[Credits]) -> None:
    for credit in taken:
        if credit is not primary:
            for visitor in credit.by_visitor.keys() - primary.by_visitor.keys():
                instead = arms[primary.exposures[visitor].arm].instead
                instead[credit.outcome.name] = instead.get(credit.outcome.name, 0) + 1


def _looks(counted: dict[str, Exposure], primary: Credits, arms: Sequence[str]) -> list[Look]:
    """The primary outcome at evenly spaced moments; none where times are not known."""
    exposed: dict[str, list[int]] = {arm: [] for arm in arms}
    happened: dict[str, list[int]] = {arm: [] for arm in arms}
    for visitor, one in counted.items():
        credit = primary.by_visitor.get(visitor)
        if one.at is None or (credit is not None and credit.first is None):
            return []
        exposed[one.arm].append(one.at)
        if credit is not None and credit.first is not None:
            happened[one.arm].append(max(credit.first, one.at))
    moments = [at for part in (*exposed.values(), *happened.values()) for at in part]
    first, last = min(moments), max(moments)
    if first == last:
        return []
    for part in (*exposed.values(), *happened.values()):
        part.sort()
    ends = [first + (last - first) * number // LOOKS for number in range(1, LOOKS + 1)]
    return [
        Look(at=at, arms=[
            LookArm(arm, bisect_left(exposed[arm], at + 1), bisect_left(happened[arm], at + 1)) for arm in arms
        ])
        for at in ends
    ]  # fmt: skip
