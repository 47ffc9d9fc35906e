"""The page for website developers says what the program does: its examples are run, its tables compared."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import httpx

from streams.core.effects import Refusal
from streams.errors import AvertError
from streams.settings import Settings
from tests.http.process import api_process
from tests.http.support import eventually, read_topic

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
# Reasons that only the worker can give: about records, not about events.
WORKERS_OWN = {Refusal.NO_KEY, Refusal.KEY_MISMATCH, Refusal.ENGINE}


async def test_the_examples_run_as_they_stand(settings: Settings) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 6
    async with api_process(settings) as api, httpx.AsyncClient() as client:
        url, keys = await api.url(), api.says("ephemeral_keys")

        async def ready() -> bool:
            return (await client.get(f"{url}/readyz")).status_code == 200

        await eventually(ready)
        shell = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", "\necho; echo ---\n".join(blocks),
            env={"PATH": os.environ["PATH"], "AVERT": url, "WRITE_KEY": keys["write_key"],
                 "SERVER_KEY": keys["server_key"]},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await shell.communicate()
        said = output.decode()
        assert shell.returncode == 0, said
    answers = [json.loads(piece) for piece in said.split("---") if piece.strip()]
    assert [answer.get("accepted") for answer in answers] == [1, 1, None, 1, 1]
    assert len(await read_topic(settings, "clickstream")) == 4


def test_every_reason_and_error_that_the_api_gives_is_explained() -> None:
    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE))
    assert {reason.value for reason in set(Refusal) - WORKERS_OWN} <= named
    public = {error.reason for error in AvertError.__subclasses__() if error.status != 500}
    assert public <= named
