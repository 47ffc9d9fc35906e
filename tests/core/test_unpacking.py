"""A packed state read: what does not fit together is refused."""

from __future__ import annotations

import msgspec
import pytest

from streams.core.session import Exposure, History, LiveSuggestion, Session, Visitor
from streams.core.unpacking import DEPTH_MAX
from streams.core.visitor import decode_visitor, encode_visitor
from streams.errors import RowVersionError
from tests.core.test_packing import START, body


def damaged(**fields):
    """What is said of a row with these fields of a body; `session`: places and values of a session's."""
    whole = body(
        clock=START, sessions=[Session("s", START, 0, states={1: [1]}, holding=[2], fired={3: 4}, timers={5: 6})],
        exposures=[Exposure("r", "0c" * 6, "control", 0)], live=[LiveSuggestion("0a" * 10, "r", 0)],
        history={"r": History([1], 0)},
    )  # fmt: skip
    for place, value in fields.pop("session", {}).items():
        whole["sessions"][0][place] = value
    row = encode_visitor(Visitor("v"))[:17] + msgspec.msgpack.encode(list((whole | fields).values()))
    with pytest.raises(RowVersionError) as caught:
        decode_visitor("v", row)
    return str(caught.value)


def nested(depth):
    return [-3] * depth + [-1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recent": bytes(7)}, "7 bytes of recent ids"),
        ({"near": bytes(4)}, "4 bytes of times"),
        ({"far": []}, "damaged"),
        ({"session": {0: 5}}, "an id of kind int"),
        ({"session": {1: 201}}, "damaged"),
        ({"session": {1: -1}}, "place -1 of a table"),
        ({"session": {13: bytes(7)}}, "damaged"),
        ({"session": {13: bytes(8)}}, "2 keys of a session"),
        ({"session": {15: -1}}, "4 keys of a session"),
        ({"session": {14: []}}, "damaged"),
        ({"session": {14: [2]}}, "no list"),
        ({"session": {14: [-2]}}, "no list"),
        ({"session": {14: ["a"]}}, "no list"),
        ({"session": {14: [-1, 2]}}, "2 codes, of which 1 are states"),
        ({"session": {14: [-3, 201]}}, "damaged"),
        ({"session": {14: [-(2**40) - 1]}}, "damaged"),
        ({"session": {14: nested(DEPTH_MAX + 1)}}, f"{DEPTH_MAX + 1} deep"),
        ({"session": {14: nested(100_000)}}, f"{DEPTH_MAX + 1} deep"),
        ({"exposures": [0, -1, 0, 0]}, "place -1 of a table of 2"),
        ({"exposures": [0, 9, 0, 0]}, "damaged"),
        ({"exposures": [0, 0]}, "damaged"),
        ({"versions": bytes(7)}, "7 bytes of 1 versions"),
        ({"ids": bytes(9)}, "9 bytes of 1 ids"),
        ({"history": [0, 0, -3]}, "-3 times of a rule"),
        ({"history": [0, 0, 1]}, "1 times of a rule"),
    ],
)
def test_a_row_whose_parts_do_not_fit_together_is_refused(fields, said):
    assert said in damaged(**fields)


def test_as_many_lists_in_lists_as_are_allowed_are_read():
    state = []
    for _ in range(DEPTH_MAX - 1):
        state = [state]
    whole = Visitor("v", sessions=[Session("s", 0, 0, states={1: state})])
    assert decode_visitor("v", encode_visitor(whole)) == whole
