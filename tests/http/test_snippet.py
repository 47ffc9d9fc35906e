"""The snippet as served: small, cached, compressed; and built from the source that stands beside it."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from tests.http.support import Api

SNIPPET = Path(__file__).parents[2] / "streams" / "http" / "snippet"
TOOLS = Path(__file__).parents[2] / ".cache" / "snippet"
GZIPPED_BYTES_MAX = 6 * 1024


async def test_it_is_under_six_kib_gzipped_as_served(api: Api) -> None:
    async with api.client.stream("GET", "/avert.js", headers={"accept-encoding": "gzip"}) as response:
        sent = b"".join([piece async for piece in response.aiter_raw()])
    assert response.headers["content-encoding"] == "gzip"
    assert len(sent) < GZIPPED_BYTES_MAX
    assert gzip.decompress(sent) == (SNIPPET / "avert.min.js").read_bytes()


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "", "*;q=0"])
async def test_whoever_takes_no_gzip_gets_none(api: Api, accepted: str) -> None:
    response = await api.client.get("/avert.js", headers={"accept-encoding": accepted})
    assert "content-encoding" not in response.headers
    assert response.content == (SNIPPET / "avert.min.js").read_bytes()


@pytest.mark.parametrize("accepted", ["identity", "gzip", "br, *"])
async def test_whoever_has_it_is_told_so(api: Api, accepted: str) -> None:
    first = await api.client.get("/avert.js", headers={"accept-encoding": accepted})
    etag = first.headers["etag"]
    again = await api.client.get("/avert.js", headers={"accept-encoding": accepted, "if-none-match": f'"x", W/{etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await api.client.get("/avert.js", headers={"accept-encoding": accepted, "if-none-match": '"x"'})
    assert other.status_code == 200


async def test_the_forms_have_tags_of_their_own(api: Api) -> None:
    tags = {
        (await api.client.get("/avert.js", headers={"accept-encoding": accepted})).headers["etag"]
        for accepted in ("identity", "gzip")
    }
    assert len(tags) == 2


async def test_caches_are_told_what_to_do(api: Api) -> None:
    headers = (await api.client.get("/avert.js")).headers
    assert headers["content-type"].startswith("text/javascript")
    assert headers["cache-control"].startswith("public, max-age=")
    assert "Accept-Encoding" in headers["vary"]
    assert headers["cross-origin-resource-policy"] == "cross-origin"


def test_nothing_in_it_is_forbidden_under_a_strict_policy() -> None:
    script = (SNIPPET / "avert.min.js").read_text()
    forbidden = r"\beval\b|new Function|(inner|outer)HTML|insertAdjacentHTML|document\.write|\.style\b|\.cssText"
    assert re.search(forbidden, script) is None


@pytest.mark.browser  # with `make browser`, which installs the tools
def test_what_is_served_is_what_the_source_says(tmp_path: Path) -> None:
    built = tmp_path / "avert.js"
    subprocess.run(["node", SNIPPET / "build.mjs", TOOLS, built], check=True)
    assert built.read_text() == (SNIPPET / "avert.min.js").read_text(), "run `make snippet`"
