"""The event on the wire: what is required, what is left out when it is empty."""

from __future__ import annotations

import msgspec
import pytest

from streams.core.wire import Event


def test_what_is_empty_is_not_written():
    assert msgspec.json.encode(Event("e", "v", "t", 1)) == b'{"id":"e","visitor":"v","type":"t","ts":1}'


@pytest.mark.parametrize("name", ["id", "visitor", "type", "ts"])
def test_what_is_required_cannot_be_missing(name):
    fields = {"id": "e", "visitor": "v", "type": "t", "ts": 1}
    del fields[name]
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
        msgspec.convert(fields, Event)


def test_two_events_share_nothing():
    one, other = Event("e", "v", "t", 1), Event("f", "v", "t", 1)
    one.props["x"] = 1
    assert other.props == {}
