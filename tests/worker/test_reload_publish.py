"""Publishing from outside of a worker."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from streams.core.ruleset import EngineOptions
from streams.errors import RuleFileError
from streams.settings import Settings
from streams.worker.reload_publish import publish_directory
from streams.worker.reload_topic import RulesTopic
from tests.worker.test_reload import BROKEN, write

OPTIONS = EngineOptions()


async def test_what_is_published_is_the_newest(broker: str, unique: str, tmp_path: Path) -> None:
    settings = Settings(
        kafka_bootstrap=broker, app_id=unique, topic_prefix=f"{unique}.", partitions=1, rules_dir=tmp_path
    )
    topic = RulesTopic(settings)
    for title in ("One", "Two", "One"):
        write(tmp_path, title)
        published = await publish_directory(settings, OPTIONS)
        await topic.start()
        assert await topic.current() == published
        await topic.close()


async def test_what_is_broken_is_not_published(tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap="127.0.0.1:1", rules_dir=tmp_path)
    write(tmp_path, text=BROKEN)
    with pytest.raises(RuleFileError, match="chta"):
        await publish_directory(settings, OPTIONS)
    (tmp_path / "r.yaml").unlink()
    (tmp_path / "r.yaml").symlink_to("nowhere")
    with pytest.raises(RuleFileError, match="cannot be read"):
        await publish_directory(settings, OPTIONS)
    with pytest.raises(RuleFileError, match="no such directory"):
        await publish_directory(msgspec.structs.replace(settings, rules_dir=tmp_path / "x"), OPTIONS)
