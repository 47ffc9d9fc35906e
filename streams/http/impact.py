"""``GET /v1/impact``: what was counted, summed over all partitions, in the form that reports are made of."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from streams.core.about import About, AboutRule
from streams.core.funnel_totals import FunnelLine
from streams.core.totals import OutcomeLine, RuleLine, Totals
from streams.http.answers import answer
from streams.http.caller import Caller, Services
from streams.http.impact_funnels import funnel_totals
from streams.http.totals import TotalsReader
from streams.impact import model


class Impact:
    """Answers with the totals."""

    def __init__(self, services: Services, totals: TotalsReader) -> None:
        self._services = services
        self._totals = totals

    async def get(self, request: Request) -> Response:
        """Answer ``GET /v1/impact`` (a server key that may do `impact`)."""
        caller = Caller(request, self._services)
        await caller.admit()
        caller.require_server("impact")
        totals, about = await self._totals.current()
        return answer(impact_totals(totals, about, caller.now_ms))


def impact_totals(totals: Totals, about: About | None, now_ms: int) -> model.Totals:
    """The sums as the room `impact` reads them. `about` says what they mean; without it names have to do."""
    by_rule: dict[str, list[RuleLine]] = {}
    outcomes: list[OutcomeLine] = []
    funnels: list[FunnelLine] = []
    for _, line in sorted(totals.lines.items()):
        if isinstance(line, RuleLine):
            by_rule.setdefault(line.rule, []).append(line)
        elif isinstance(line, FunnelLine):
            funnels.append(line)
        else:
            outcomes.append(line)
    known = {rule.rule: rule for rule in about.rules} if about else {}
    currency = about.currency if about else next((line.currency for line in outcomes), "")
    return model.Totals(
        source="live",
        at=now_ms,
        currency=currency,
        attribution_window_ms=about.window_ms if about else None,
        nudge_micros=about.nudge_micros if about else 0,
        outcomes=[_outcome(line, about) for line in outcomes],
        rules=[
            _programme(lines, by_rule, about) if rule == model.PROGRAMME else _rule(rule, lines, known.get(rule), about)
            for rule, lines in by_rule.items()
        ],
        funnels=funnel_totals(funnels, about),
        notes=[
            model.Note(f"outcomes `{line.outcome}` of visitors who were exposed to no rule within its window",
                       line.unattributed)
            for line in outcomes if line.unattributed
        ],
    )  # fmt: skip


def _outcome(line: OutcomeLine, about: About | None) -> model.OutcomeInfo:
    declared = next((one for one in about.outcomes if one.name == line.outcome), None) if about else None
    since = {price.version: price.since for price in declared.prices} if declared else {}
    versions = []
    for version, priced in line.prices.items():
        text, _, digest = version.partition(" #")
        versions.append(model.CostVersion(
            version=digest or version, text=text, since=since.get(version) or priced.first_at,
            count=priced.outcomes, micros=priced.micros,
        ))  # fmt: skip
    return model.OutcomeInfo(
        name=line.outcome, kind=line.kind, label=declared.label if declared else "",
        versions=sorted(versions, key=lambda version: version.since or 0),
    )  # fmt: skip


def _rule(rule: str, lines: list[RuleLine], declared: AboutRule | None, about: About | None) -> model.RuleTotals:
    shares = {}
    if declared is not None and about is not None:
        control = about.global_holdout + (1 - about.global_holdout) * declared.holdout
        shares = {model.CONTROL: control, model.TREATED: 1 - control}
    return model.RuleTotals(
        rule=rule,
        title=declared.title if declared else "",
        versions=sorted({version for line in lines for version in line.versions}),
        target=declared.target if declared else next((line.target for line in lines if line.target), ""),
        shares=shares,
        arms=[_arm(line) for line in lines],
    )


def _programme(lines: list[RuleLine], by_rule: dict[str, list[RuleLine]], about: About | None) -> model.RuleTotals:
    """All rules together: its own exposures and outcomes, and the sum of what was suggested."""
    arms = [_arm(line) for line in lines]
    treated = next((arm for arm in arms if arm.arm == model.TREATED), None)
    if treated is not None:
        treated.suggestions = model.pooled(
            [_arm(line) for some in by_rule.values() for line in some], model.TREATED
        ).suggestions
    held = about.global_holdout if about else 0.0
    return model.RuleTotals(
        rule=model.PROGRAMME,
        title="All rules together",
        target=model.ALL_COSTS,
        measure="amount",
        shares={model.CONTROL: held, model.TREATED: 1 - held} if about else {},
        arms=arms,
    )


def _arm(line: RuleLine) -> model.ArmTotals:
    receipts = line.receipts
    return model.ArmTotals(
        arm=line.arm,
        variant=line.variant,
        visitors=line.exposed,
        outcomes={
            name: model.OutcomeTotals(
                visitors=share.visitors, count=share.outcomes, unpriced=share.unpriced, micros=share.micros,
                micros_squared=share.squares,
            )
            for name, share in line.outcomes.items()
        },
        suggestions=model.SuggestionCounts(
            made=line.decisions.get("suggested", 0), shown=receipts.get("shown", 0),
            clicked=receipts.get("clicked", 0), dismissed=receipts.get("dismissed", 0), micros=line.nudge_micros,
        ),
        instead={name: visitors for name, visitors in line.instead.items() if visitors},
        first_exposure=line.first_at or None,
        last_exposure=line.last_at or None,
    )  # fmt: skip
