"""What the engine has to know of the settings: one place, so that every command judges rules as a worker does."""

from __future__ import annotations

from dataclasses import fields

from streams.core.ruleset import EngineOptions
from streams.core.signals import SignalOptions
from streams.settings import Settings


def engine_options(settings: Settings) -> EngineOptions:
    """The engine's options; a signal's threshold ``x`` is the setting ``signal_x``."""
    thresholds = {field.name: getattr(settings, f"signal_{field.name}") for field in fields(SignalOptions)}
    return EngineOptions(
        session_timeout_ms=settings.session_timeout_ms,
        max_lateness_ms=settings.max_lateness_ms,
        attribution_window_ms=settings.attribution_window_ms,
        outcome_delay_ms=settings.outcome_delay_ms,
        visitor_events_per_minute_max=settings.visitor_events_per_minute_max,
        consent_default=settings.consent_default == "granted",
        allowed_link_hosts=frozenset(settings.allowed_link_hosts),
        signals=SignalOptions(**thresholds),
    )
