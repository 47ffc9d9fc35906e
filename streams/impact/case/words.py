"""The case in sentences: page and terminal say the same."""

from __future__ import annotations

from streams.impact.case.report import Before, Case
from streams.impact.words import count, days, money, percent, round_money

DAY_MS = 86_400_000


def span(case: Case) -> float:
    """How many days the recording covers, one at least."""
    if case.first_ts is None or case.last_ts is None:
        return 1.0
    return max((case.last_ts - case.first_ts) / DAY_MS, 1.0)


def window(case: Case, one: Before) -> str:
    """The outcome's attribution window: ``24 hours``."""
    return days(case.windows_ms[one.outcome] / DAY_MS)


def sentence(case: Case, one: Before) -> str:
    """What was found, in a sentence."""
    return (
        f"Of {count(one.visitors)} visitors {count(one.followed)} came to “{one.outcome_label}” within "
        f"{window(case, one)}; of others at the same point of their visit it would have been {count(one.expected)}. "
        f"That is {count(one.extra.value)} more (between {count(one.extra.low)} and {count(one.extra.high)}), at "
        f"{money(one.each, case.currency)} each."
    )


def worth(case: Case, one: Before) -> str:
    """The money beyond the base: ``3,848 EUR``."""
    return round_money(one.cost.value, case.currency)


def worth_range(case: Case, one: Before) -> str:
    """Both ends of it."""
    low = round_money(max(one.cost.low, 0.0), case.currency).removesuffix(f" {case.currency}")
    return f"{low} to {round_money(one.cost.high, case.currency)}"


def instead(one: Before) -> list[str]:
    """What those did who did without, a line each."""
    lines = [
        f"{step.label}: the next step of {percent(step.without, 0)} of them, and of {percent(step.with_outcome, 0)} of "
        "those who came to it"
        for step in one.instead
    ]
    return lines + [
        f"“{found.label}” in the same time: {percent(found.without, 0)} of them, {percent(found.with_outcome, 0)} of "
        "those who came to it"
        for found in one.converted
        if found.without > found.with_outcome
    ]


def cautions(case: Case) -> list[tuple[str, str]]:
    """How it was counted, and what it does not say: (head, text)."""
    looked = ", ".join(f"{name} ({count(number)})" for name, number in case.looked_at.items())
    return list({
        "A correlation, not a cause": (
            "What came before an anti-conversion need not have brought it about. Who wants to cancel an order searches "
            "for that and opens the chat, and both may come of a third thing. Repairing the search may help, or may "
            "not: that is why each draft rule holds a tenth of the visitors back. The difference between them and the "
            "others is the effect; what stands here is only where to look first."
        ),
        "Beyond the base rate": (
            "Visitors are compared with others who had got as far (so many events) and had not done it. Long visits "
            "contain more of everything, and end in a chat more often: this alone makes no finding. Counted is what "
            "came before a visitor's first outcome of the kind; what one is made of cannot be what came before it."
        ),
        "Corrected for how many were looked at": (
            f"{count(case.questions)} questions were asked: what at least {case.visitors_min} visitors did, for every "
            f"anti-conversion that it makes sense for. These are {looked or 'none'}. Asked so often, chance alone "
            f"answers yes to some. Of all findings at most {percent(case.rate_false)} are false on average (Benjamini "
            "and Yekutieli), and the intervals are wider for the same reason."
            + (f" {count(case.dropped)} things too rare to be counted were left out." if case.dropped else "")
        ),
        "Costs overlap": (
            "One visitor may be in several findings: their costs do not add up. What says nothing beyond a stronger "
            "finding stands with it and not by itself."
        ),
        "What is not in the recording": (
            "Outcomes after its end, visitors who refused consent, and whatever a tracker did not see. If suggestions "
            "were shown then, their effect is already in it."
        ),
    }.items())
