"""`avert replay`: reading, topics, progress bar, sending."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.embedded.topics import create_topics
from streams.replay import Recording, ReplayOptions, ReplayResult, read_recording, replay
from streams.settings import Settings
from streams.telemetry import configure_logs


def replay_file(path: Path, settings: Settings, options: ReplayOptions) -> ReplayResult:
    """Replay `path` with a progress bar on a terminal's stderr. Raises ReplayError, BrokerUnavailableError."""
    configure_logs(settings.log_format, settings.log_level)
    return asyncio.run(replay_recording(read_recording(path, options), settings, options))


async def replay_recording(recording: Recording, settings: Settings, options: ReplayOptions) -> ReplayResult:
    """Replay what was read; the topics are created where they are missing."""
    await create_topics(settings)
    console = Console(stderr=True)
    columns = TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("replay", total=len(recording.events))
        return await replay(recording, settings, options, lambda sent: progress.update(task, completed=sent))
