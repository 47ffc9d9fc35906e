"""What is asked of the system: the load, and how much may go wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields

from streams.errors import SettingsError

_MAY_BE_ZERO = frozenset(
    {
        "rules", "funnels", "reads_per_event", "open_streams", "live_visitors", "top_visitor_share", "exposed_share",
        "brokers", "visitor_events_per_minute_max",
    }
)
_SHARES = ("utilisation", "top_visitor_share", "exposed_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A load. Rates are means over the busiest day; `peak_factor` makes peaks of them.

    Attributes:
        events_per_second: Events a second, mean of the busiest day.
        peak_factor: The busiest minute beside that mean.
        bytes_per_event: As it stands in Kafka.
        live_visitors: Visitors with a row; 0: what the rate makes of the four below.
        visit_events: Events of one visit.
        visit_s: How long any row stays, s: the visit, session timeout, lateness.
        exposed_share: Of the visits in which a rule fires, in either arm.
        exposed_s: How long those rows stay, s: attribution window, delay of outcomes, limits.
        rules: Rules of all kinds.
        funnels: Funnels that hear every page.
        sites: Sites with topics of their own in the same cluster.
        utilisation: Of a core at peak; above it queues, and so latency, grow steeply.
        skew: The busiest worker beside the mean; the simulation says what it is.
        retention_days: Of events and suggestions; dead letters are kept twice as long.
        results_retention_days: Of decisions, outcomes and journeys.
        replication: Copies of each record.
        brokers: Of Kafka; 0: as many as are needed.
        events_per_post: Events of one POST /v1/events, in the mean.
        reads_per_event: GET /v1/suggestions an event.
        open_streams: Pages that hold an event stream open.
        recovery_s: A lost worker's visitors are served again within this, s.
        worker_mib: Memory that one worker may have, MiB.
        top_visitor_share: Of all events, that one visitor (a bot) sends.
        visitor_events_per_minute_max: The setting: those of one visitor beyond are shed; 0: none are.

    """

    events_per_second: float
    peak_factor: float = 3.0
    bytes_per_event: float = 400.0
    live_visitors: float = 0.0
    visit_events: float = 12.0
    visit_s: float = 50 * 60.0
    exposed_share: float = 0.1
    exposed_s: float = 4 * 24 * 3600.0  # as the settings come: a day of attribution and three of delay
    rules: int = 50
    funnels: int = 2  # as shipped
    sites: int = 1
    utilisation: float = 0.6
    skew: float = 1.3
    retention_days: float = 7.0  # as the settings come, and so below
    results_retention_days: float = 90.0
    replication: int = 3
    brokers: int = 0
    events_per_post: float = 3.0
    reads_per_event: float = 0.2
    open_streams: float = 0.0
    recovery_s: float = 60.0
    worker_mib: float = 4096.0
    top_visitor_share: float = 0.0
    visitor_events_per_minute_max: float = 1_200

    def __post_init__(self) -> None:
        """Raises SettingsError for a figure that means nothing."""
        for field in fields(self):
            value = getattr(self, field.name)
            zero = field.name in _MAY_BE_ZERO
            if not (value >= 0 if zero else value > 0) or value == float("inf"):
                least = "zero or more" if zero else "above zero"
                raise SettingsError(f"{field.name.replace('_', ' ')} must be {least}, not {value:g}")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise SettingsError(f"{name.replace('_', ' ')} is a share: at most 1, not {getattr(self, name):g}")
        if self.skew < 1 or self.peak_factor < 1:
            raise SettingsError("skew and peak factor are at least 1: the busiest is not below the mean")
        if 0 < self.brokers < self.replication:
            raise SettingsError(f"{self.replication} replicas need as many brokers, not {self.brokers}")

    @property
    def peak(self) -> float:
        """Events a second in the busiest minute."""
        return self.events_per_second * self.peak_factor

    @property
    def visitors(self) -> float:
        """Visitors with a row: given, or by Little's law (visits a second times the time that a row stays)."""
        stays_s = self.visit_s + self.exposed_share * self.exposed_s
        return self.live_visitors or self.events_per_second / self.visit_events * stays_s
