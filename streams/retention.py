"""How long each topic keeps what: the topics' configuration, for whoever creates them and for whoever checks them.

1. A topic of records (events, effects, dead letters) is kept by time. What Kafka deletes are whole closed files, so
   these are closed after a day, or after the time that records are kept where that is shorter.
2. The changelog is compacted: of each visitor the newest row stays. An erased visitor's row, and every older one, is
   gone at most `changelog_erased_ms` after it was replaced, and a file being closed in between.
3. Said explicitly, all of it: a broker's own defaults are another thing on each broker.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.settings import Settings

COMPACTION_LAG_MS_MIN = 3_600_000  # a thawed zombie's row and the row that beats it both stay readable for an hour
_FILE_MS_MAX = 86_400_000  # a file is closed after a day, so that its records are older than that by a day at most
_FILE_MS_MIN = 600_000  # more often would make thousands of files of a quiet topic

# Topic -> the setting that says how long it keeps records.
KEPT_BY_TIME: Mapping[str, str] = {
    "clickstream": "clickstream_retention_ms",
    "decisions": "decisions_retention_ms",
    "suggestions": "suggestions_retention_ms",
    "outcomes": "outcomes_retention_ms",
    "journeys": "journeys_retention_ms",
    "deadletter": "deadletter_retention_ms",
    "erasures": "erasures_retention_ms",
}
# A line of the totals is told once a second, and only the last counts: little segments are compacted soon, so that a
# reader, who begins at the beginning, has little to read.
_TOTALS = {"cleanup.policy": "compact", "segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}


def changelog_name(settings: Settings) -> str:
    """The changelog of the sessions table."""
    return f"{settings.app_id}-sessions-changelog"


def topic_configurations(settings: Settings) -> dict[str, dict[str, str]]:
    """Full name of a topic -> its configuration, of all topics that hold visitors or totals."""
    found = {settings.topic(name): _kept(name, getattr(settings, by)) for name, by in KEPT_BY_TIME.items()}
    found[settings.topic("totals")] = dict(_TOTALS)
    found[changelog_name(settings)] = {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(COMPACTION_LAG_MS_MIN),
        "max.compaction.lag.ms": str(max(settings.changelog_erased_ms, COMPACTION_LAG_MS_MIN)),
        "segment.ms": str(_file_ms(settings.changelog_erased_ms)),
    }
    return found


def _kept(name: str, retention_ms: int) -> dict[str, str]:
    # Of a visitor's erasures the last says all; the ones before go early.
    policy = {"cleanup.policy": "compact,delete"} if name == "erasures" else {"cleanup.policy": "delete"}
    return policy | {"retention.ms": str(retention_ms), "segment.ms": str(_file_ms(retention_ms))}


def _file_ms(kept_ms: int) -> int:
    return _FILE_MS_MAX if kept_ms < 0 else max(_FILE_MS_MIN, min(_FILE_MS_MAX, kept_ms))
