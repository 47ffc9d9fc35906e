"""Labels are bounded, whatever comes along: rules by the thousand, outcomes, paths."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streams.telemetry import OTHER, OUTCOME_LABELS_MAX, RULE_LABELS_MAX, CappedLabels

RULES = 10_000

# In a process of its own: what is metered once stays in the registry.
_METERED = f"""
import types
from streams.core.effects import Decision, OutcomeRecord
from streams.core.totals import Credit, OutcomeLine, Priced, RuleLine, Totals
from streams.telemetry import metrics_page
from streams.worker.commit import count
from streams.worker.publish import meter

def work(effects):
    return types.SimpleNamespace(results={{}}, dead=[], effects=effects, woken=0, rows=[])

for n in range({RULES}):
    for kind, arm, reason in (("suggested", "treated", None), ("control", "control", None)):
        count(work([Decision("d", "v", "s", f"r{{n}}", "1", 5, kind, arm, "e", reason)]))
    count(work([OutcomeRecord("o", "v", "s", f"o{{n}}", "anti_conversion", 9, "e", "EUR", 1.0, ())]))
totals = Totals()
for n in range({RULES}):
    for arm in ("treated", "control"):
        credits = {{f"o{{n}}": Credit(1, 1, 1_000_000)}}
        line = RuleLine(f"r{{n}}", arm, exposed=1, outcomes=credits, receipts={{"shown": 1}})
        totals.lines[f"rule/r{{n}}/{{arm}}/"] = line
    totals.lines[f"outcome/o{{n}}"] = OutcomeLine(f"o{{n}}", prices={{"1 #a": Priced(1, 1_000_000), "2 #b": Priced(1)}})
totals.lines["rule/programme/treated/"] = RuleLine("programme", "treated", exposed=7)
meter([totals])
print(metrics_page().decode())
"""


@pytest.fixture(scope="module")
def page() -> list[str]:
    done = subprocess.run([sys.executable, "-c", _METERED], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("#")]


def series(page: list[str], metric: str) -> list[str]:
    return [line for line in page if line.startswith(metric + "{")]


def whole(page: list[str], metric: str, label: str = "") -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in series(page, metric) if label in line)


@pytest.mark.parametrize(
    ("metric", "most"),
    [
        ("avert_decisions_total", 2 * (RULE_LABELS_MAX + 1)),
        ("avert_outcomes_total", OUTCOME_LABELS_MAX + 1),
        ("avert_outcome_amount_total", OUTCOME_LABELS_MAX + 1),
        ("avert_exposed_visitors", 2 * (RULE_LABELS_MAX + 1) + 1),
        ("avert_suggestions_answered", RULE_LABELS_MAX + 1),
        ("avert_outcome_price_outcomes", 2 * OUTCOME_LABELS_MAX + 1),
        # of a named rule: its outcome, named or not; of the others all that are named
        ("avert_credited_amount", 2 * (RULE_LABELS_MAX + OUTCOME_LABELS_MAX + 1)),
    ],
)
def test_ten_thousand_rules_and_outcomes_are_a_bounded_page(page: list[str], metric: str, most: int) -> None:
    assert 0 < len(series(page, metric)) <= most


@pytest.mark.parametrize(
    ("metric", "sum_of_all"),
    [
        ("avert_decisions_total", 2 * RULES), ("avert_outcomes_total", RULES), ("avert_outcome_amount_total", RULES),
        ("avert_exposed_visitors", 2 * RULES + 7), ("avert_credited_amount", 2 * RULES),
        ("avert_outcome_price_outcomes", 2 * RULES),
    ],
)
def test_sums_stay_right(page: list[str], metric: str, sum_of_all: float) -> None:
    assert whole(page, metric) == sum_of_all


def test_the_programme_is_never_among_the_others(page: list[str]) -> None:
    assert whole(page, "avert_exposed_visitors", 'rule="programme"') == 7
    assert whole(page, "avert_exposed_visitors", f'rule="{OTHER}"') == 2 * (RULES - RULE_LABELS_MAX)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_names_up_to_the_cap_are_kept(more: int) -> None:
    label = CappedLabels(3)
    labels = [label(f"r{n}") for n in range(3 + more)]
    assert labels == [f"r{n}" for n in range(min(3, 3 + more))] + [OTHER] * max(0, more)


def test_a_name_that_has_a_series_keeps_it() -> None:
    label = CappedLabels(1)
    assert [label("a"), label("b"), label("a")] == ["a", OTHER, "a"]
