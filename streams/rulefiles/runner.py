"""Run the tests that stand beside the rules, on the real engine, in their own time.

Each test gets a program of its own: its rule alone, live, nobody held out (everybody, when the test says
``arm: control``), and all outcomes, since they withdraw suggestions. Time starts at BASE_MS and is moved by the
test's events; then every timer up to ``until`` fires at its own moment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from streams.core.definition import Mark, Program, RuleDefinition
from streams.core.effects import Arm, Decision, Effect, EventResult, Suggestion, Suppression, Withdrawal
from streams.core.engine import Position, step, tick
from streams.core.event import Event
from streams.core.ruleset import DefinitionErrors, EngineOptions, Ruleset, compile_ruleset
from streams.core.visitor import Visitor
from streams.rulefiles.coverage import Coverage, Observer
from streams.rulefiles.program import funnel_tests, load_program
from streams.rulefiles.runner_funnels import run_funnel_test
from streams.rulefiles.runner_timeline import Happening, legend_lines, timeline
from streams.rulefiles.testforms import Expected, RuleTest, TestEvent, event_objects
from streams.rulefiles.values import write_duration

BASE_MS = 1_767_603_600_000  # Monday, 5 January 2026, 09:00 UTC: a working hour, far from any change of clocks
VISITOR = "rule-test"
TICKS_MAX = 10_000  # of one test: an `until` of weeks over a rule that fires by the minute ends here


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of one test. `got` and `timeline` are for people; `passed` is for machines."""

    __test__: ClassVar[bool] = False  # pytest must not collect it
    rule: str
    name: str
    mark: Mark
    passed: bool
    expected: str
    got: str
    timeline: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()  # what the letters in the timeline stand for

    def report(self) -> str:
        """One line when it passed; else also what was expected, what came, and everything that happened."""
        head = f"{'ok' if self.passed else 'FAILED'}  {self.rule}: {self.name}  ({self.mark.file}:{self.mark.line})"
        if self.passed:
            return head
        lines = [head, f"  expected  {self.expected}", f"  got       {self.got}"]
        for title, some in (("conditions", self.conditions), ("timeline", self.timeline)):
            lines += [f"  {title}", *("    " + line for line in some)]
        return "\n".join(lines)


@dataclass(slots=True)
class _Run:
    """Everything that happened in one test, in order: the time after the start (ms), and what."""

    observer: Observer
    happened: list[tuple[int, Happening]] = field(default_factory=list)

    def note(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            at = effect.created if isinstance(effect, Suggestion) else effect.at
            self.happened.append((at - BASE_MS, effect))

    def look(self, state: Visitor | None, at: int) -> None:
        self.happened.append((at - BASE_MS, self.observer.after_step(state, at)))

    def effects(self, kind: type[Any]) -> list[tuple[int, Any]]:
        return [(at, what) for at, what in self.happened if isinstance(what, kind)]


def run_rule_tests(directory: Path, options: EngineOptions) -> list[TestResult]:
    """Run every test of every rule under `directory`. Raises RuleFileError when the files cannot be used."""
    return run_with_coverage(directory, options)[0]


def run_with_coverage(directory: Path, options: EngineOptions) -> tuple[list[TestResult], Coverage]:
    """As `run_rule_tests`; also what the tests have shown of each rule's conditions."""
    program, tests = load_program(directory, options)
    rules = {rule.id: rule for rule in program.rules}
    observers: dict[tuple[str, str], tuple[Ruleset, Observer]] = {}
    results = []
    coverage = Coverage()
    for rule in program.rules:
        with contextlib.suppress(DefinitionErrors):  # its tests say so
            coverage.know(Observer(_ruleset_for(program, rule, "treated", options)), rule)
    for test in tests:
        key = (test.rule, test.arm)
        try:
            if key not in observers:
                ruleset = _ruleset_for(program, rules[test.rule], test.arm, options)
                observers[key] = ruleset, Observer(ruleset)
        except DefinitionErrors as error:
            said = "; ".join(finding.message for finding in error.findings)
            results.append(TestResult(test.rule, test.name, test.mark, False, "a rule that compiles", said))
            continue
        results.append(run_test(test, *observers[key]))
    for (name, _), (_, observer) in observers.items():
        coverage.know(observer, rules[name])
    results += [TestResult(*run_funnel_test(test, program, options)) for test in funnel_tests(directory)]
    return results, coverage


def _ruleset_for(program: Program, rule: RuleDefinition, arm: Arm, options: EngineOptions) -> Ruleset:
    alone = replace(rule, mode="live", holdout=1.0 if arm == "control" else 0.0)
    return compile_ruleset(replace(program, rules=(alone,), funnels=(), global_holdout=0.0), options)


def run_test(test: RuleTest, ruleset: Ruleset, observer: Observer) -> TestResult:
    """Run one test on a ruleset that has its rule alone, and is watched by `observer`."""
    run = _play(test, ruleset, _Run(observer))
    expected, got = _compare(test.expect, run, control=test.arm == "control")
    passed = expected == got
    story = () if passed else tuple(timeline(run.happened))
    legend = () if passed else tuple(legend_lines(observer.legend()))
    return TestResult(test.rule, test.name, test.mark, passed, "; ".join(expected), "; ".join(got), story, legend)


# --- playing ---------------------------------------------------------------------------------------------------


def _play(test: RuleTest, ruleset: Ruleset, run: _Run) -> _Run:
    state: Visitor | None = None
    clock = BASE_MS
    for offset, event in enumerate(test.events):
        # An event that stands after a later one arrives late: the clock has gone on.
        clock = max(clock, BASE_MS + event.at_ms)
        state = _run_timers(state, ruleset, clock, run)
        run.happened.append((event.at_ms, event))
        state, result, effects = step(state, _as_event(event, offset), Position(offset, clock), ruleset, clock)
        if result is not EventResult.APPLIED:
            run.happened.append((event.at_ms, result))
        run.look(state, BASE_MS + event.at_ms)
        run.note(effects)
    if test.until_ms is not None:
        _run_timers(state, ruleset, max(clock, BASE_MS + test.until_ms), run)
        run.happened.append((test.until_ms, "until here"))
    return run


def _run_timers(state: Visitor | None, ruleset: Ruleset, until: int, run: _Run) -> Visitor | None:
    """Let the clock go from deadline to deadline, as a live clock does."""
    for _ in range(TICKS_MAX):
        if state is None or state.due > until:
            return state
        at = state.due
        state, effects = tick(state, ruleset, at)
        if effects:
            run.look(state, at)
        run.note(effects)
    return state


def _as_event(event: TestEvent, offset: int) -> Event:
    objects = event_objects(event.fields)
    return Event(
        id=f"e{offset}", visitor=VISITOR, type=event.type, ts=BASE_MS + event.at_ms, session=event.session,
        page=objects["page"], props=objects["props"], context=objects["context"],
    )  # fmt: skip


# --- comparing -------------------------------------------------------------------------------------------------


def _compare(expect: Expected, run: _Run, *, control: bool) -> tuple[list[str], list[str]]:
    """What was expected and what came, each as phrases about only what the test asks for."""
    decisions: list[tuple[int, Decision]] = run.effects(Decision)
    made = tuple(at for at, decision in decisions if decision.kind == ("control" if control else "suggested"))
    stopped = [(at, decision.reason) for at, decision in decisions if decision.reason is not None]
    expected: list[str] = []
    got: list[str] = []
    if expect.fires_ms is not None:
        expected.append(_at("fires", expect.fires_ms))
        got.append(_at("fires", made))
    if expect.suppressed is not None:
        wanted, came = set(expect.suppressed), {reason for _, reason in stopped if reason is not None}
        if wanted or came:
            expected.append(_reasons(wanted))
            got.append(_reasons(came))
    if expect.withdrawn_ms is not None:
        expected.append(_at("withdrawn", expect.withdrawn_ms))
        got.append(_at("withdrawn", tuple(at for at, _ in run.effects(Withdrawal))))
    _compare_texts(expect, run, expected, got)
    return expected, got


def _compare_texts(expect: Expected, run: _Run, expected: list[str], got: list[str]) -> None:
    suggestions: list[tuple[int, Suggestion]] = run.effects(Suggestion)
    first = suggestions[0][1] if suggestions else None
    for name, wanted in (("title", expect.title), ("body", expect.body)):
        texts: dict[str, str] = getattr(first, name) if first else {}
        for language, text in wanted:
            expected.append(f"{name} in {language}: {text!r}")
            got.append(
                f"{name} in {language}: {texts[language]!r}" if language in texts else f"no {name} in {language}"
            )


def _at(verb: str, times_ms: tuple[int, ...]) -> str:
    if not times_ms:
        return "silent" if verb == "fires" else f"not {verb}"
    return f"{verb} at " + ", ".join(write_duration(ms) for ms in times_ms)


def _reasons(reasons: set[Suppression]) -> str:
    return "suppressed: " + ", ".join(sorted(reasons)) if reasons else "nothing suppressed"
