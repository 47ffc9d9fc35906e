"""The lines of the totals: what tells them apart, and that what is written is read."""

from __future__ import annotations

import msgspec
import pytest

from streams.core.funnel_totals import FunnelLine
from streams.core.lines import Credit, OutcomeLine, Priced, RuleLine, decode_line, encode_line, line_key

LINES = {
    "rule/r/treated/": RuleLine("r", "treated", number=2, outcomes={"chat": Credit(1, 2, 3, 4, 5)}),
    "rule/r/control/": RuleLine("r", "control"),
    "rule/r/treated/b": RuleLine("r", "treated", "b"),
    "outcome/chat": OutcomeLine("chat", number=1, prices={"6.5 #aa": Priced(1, 6_500_000, 7)}),
    "funnel/f/v/treated": FunnelLine("f", "v", "treated"),
}


@pytest.mark.parametrize("key", LINES)
def test_a_line_has_a_key_of_its_own(key):
    assert line_key(LINES[key]) == key


@pytest.mark.parametrize("key", LINES)
def test_a_line_is_read_as_it_was_written(key):
    assert decode_line(encode_line(LINES[key])) == LINES[key]


def test_what_is_no_line_is_refused():
    with pytest.raises(msgspec.DecodeError):
        decode_line(b'{"line":"other"}')
