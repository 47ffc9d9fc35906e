"""``python -m tests.clients.captures DIR``: what real clients sent, posted again, and what stands in Kafka then.

1. Every ``*.json`` of the folder is a capture: a client's requests, in order (path, query, headers, the body's bytes).
2. A collector is started on an embedded broker. It knows the keys and the origins that the captures present.
3. The requests of a capture are sent byte for byte and in order, one after the other.
4. A JSON line a capture: the status of each answer, the events as they stand in Kafka, and the dead letters.

Nothing here knows a capture by its name, or what is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import http.client
import json
import re
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

from streams.embedded.stack import EmbeddedBroker
from streams.http.access import credentials
from streams.keys import WriteKey
from streams.settings import Settings
from tests.clients.support import running_collector, save_keys
from tests.http.support import read_topic

ANSWER_TIMEOUT_S = 30.0
TOPIC_PREFIX = "captures."
_KEY_IN_BODY = re.compile(rb'"(?:writeKey|api_key|token)"\s*:\s*"([^"\\]{1,200})"')
_KEY_IN_PATH = re.compile(r"/(?:array|projects)/([^/]+)/")
_SAFE_IN_PATH = "/?%:@!$&'()*+,;=~"  # what may stand in a path stays as it was captured
_KEYS_IN_QUERY = ("writeKey", "api_key", "token", "key", "api_secret", "measurement_id", "tid")


class Request(NamedTuple):
    """One request of a capture."""

    method: str
    target: str  # path and query
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, or an empty text."""
        return next((value for known, value in self.headers if known.lower() == name), "")


class Capture(NamedTuple):
    """One file."""

    name: str
    requests: list[Request]


def load_captures(folder: Path) -> list[Capture]:
    """All captures of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_bytes())
        if isinstance(content, dict) and isinstance(content.get("requests"), list):
            found.append(Capture(path.stem, [_request(given) for given in content["requests"]]))
    return found


def _request(given: dict[str, Any]) -> Request:
    query = given.get("query") or {}
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    headers = given.get("headers") or {}
    pairs = headers.items() if isinstance(headers, dict) else headers
    target = quote(given["path"], safe=_SAFE_IN_PATH) + (f"?{text.lstrip('?')}" if text else "")
    return Request(
        given["method"], target, [(str(name), str(value)) for name, value in pairs if not str(name).startswith(":")],
        base64.b64decode(given.get("raw_b64") or ""),
    )


def presented_keys(requests: Iterable[Request]) -> set[str]:
    """Whatever a request presents where clients put their key."""
    return {key for request in requests for key in _keys_of(request) if key}


def _keys_of(request: Request) -> Iterator[str]:
    yield credentials(request.header("authorization")) or ""
    yield request.header("x-write-key").partition(":")[0]
    path, _, query = request.target.partition("?")
    yield from _KEY_IN_PATH.findall(path)
    fields = dict(parse_qsl(query))
    yield from (fields[name] for name in _KEYS_IN_QUERY if name in fields)
    for body in _readings(request.body):
        yield from (found.decode("utf-8", "replace") for found in _KEY_IN_BODY.findall(body))


def _readings(body: bytes) -> Iterator[bytes]:
    """The body as it is, unpacked, and what a form carries in base64."""
    if body.startswith(b"\x1f\x8b"):
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            return
    yield body
    for field in re.findall(rb"(?:^|&)data=([^&]+)", body):
        text = unquote_to_bytes(field.replace(b"+", b" "))
        yield text
        try:
            yield base64.b64decode(text.replace(b" ", b"+") + b"==")
        except ValueError:
            continue


def write_keys(captures: list[Capture]) -> list[WriteKey]:
    """A key for each that is presented, usable from every origin; Snowplow's trackers present none."""
    requests = [request for capture in captures for request in capture.requests]
    origins = tuple(sorted({request.header("origin") for request in requests} - {""}))
    keys = [WriteKey(key, origins) for key in sorted(presented_keys(requests))]
    return [*keys, WriteKey("wk_of_those_who_send_none", origins, apps=("*",))]


def send(port: int, request: Request) -> int:
    """Send a request as it was captured; the answer's status, 0 when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            connection.putheader(name, value.encode("utf-8"))
        if not request.header("host"):
            connection.putheader("host", f"127.0.0.1:{port}")
        chunked = "chunked" in request.header("transfer-encoding").lower()
        if request.body and not chunked and not request.header("content-length"):
            connection.putheader("content-length", str(len(request.body)))
        connection.endheaders()
        if chunked:
            if request.body:
                connection.send(b"%x\r\n%s\r\n" % (len(request.body), request.body))
            connection.send(b"0\r\n\r\n")
        elif request.body:
            connection.send(request.body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


class Log:
    """The topics, read in turns: what is new since the last look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: set[tuple[str, int, int]] = set()

    def new(self, name: str) -> list[Any]:
        """The values that came since, in the order of their arrival within each partition."""
        found = []
        for record in asyncio.run(read_topic(self._settings, name)):
            place = (name, record.partition, record.offset)
            if place not in self._seen:
                self._seen.add(place)
                found.append(json.loads(record.value))
        return found


def replay(captures: list[Capture], settings: Settings) -> Iterator[dict[str, Any]]:
    """Send all captures to the collector of `settings`; one result each."""
    log = Log(settings)
    for capture in captures:
        statuses = [send(settings.api_port, request) for request in capture.requests]
        yield {
            "capture": capture.name, "statuses": statuses, "events": log.new("clickstream"),
            "dead_letters": log.new("deadletter"),
        }


def main(arguments: list[str]) -> int:
    """The command. 0 when every request was answered, and with less than 500."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.captures", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of captures")
    captures = load_captures(parser.parse_args(arguments).folder)
    if not captures:
        parser.error("no captures (*.json with a list `requests`) in this folder")
    good = True
    with tempfile.TemporaryDirectory(prefix="avert-captures-") as temporary, EmbeddedBroker() as broker:
        folder = Path(temporary)
        settings = Settings(
            kafka_bootstrap=broker.address, topic_prefix=TOPIC_PREFIX, partitions=1,
            keys_file=save_keys(folder / "keys.json", write_keys(captures)),
        )
        with running_collector(settings, folder) as running:
            for result in replay(captures, running):
                sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
                sys.stdout.flush()
                good &= all(0 < status < 500 for status in result["statuses"])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
