"""Rows that older versions wrote are read."""

from __future__ import annotations

import pytest

from streams.core.session import Exposure, History, LiveSuggestion, Session, Visitor
from streams.core.visitor import ROW_VERSION, decode_visitor
from streams.errors import RowVersionError


def test_rows_of_every_older_version_are_still_read():
    """When ROW_VERSION moves on, a row written by the version before is added here and stays."""
    written_by = {
        1: bytes.fromhex(
            "010000000000000007000000000000000b"  # version, offset, due
            "9aa0070b08019101"  # visitor, offset, due, clock, visits, recent ids
            "90909080"  # no sessions, exposures, suggestions, histories
        ),
        2: bytes.fromhex(
            "020000000000000007000000000000000b"
            "9ca0070b08019101"
            "90"  # no sessions
            "9197a172a131a77472656174656405a162a16f81a16f920102"  # an exposure with its credits
            "9196a169a17209a174a1620080"  # a live suggestion; no histories
            "97a970726f6772616d6d65a0a77472656174656405c0a080810304"  # the programme's exposure; what was reported
        ),
        3: bytes.fromhex(
            "030000000000000007000000000000000b"
            "9ca0070b0801c4080000000000000001"
            "90"
            "9197a172a131a77472656174656405a162a16f81a16f920102"
            "9196a169a17209a174a1620080"
            "97a970726f6772616d6d65a0a77472656174656405c0a080810304"
        ),
        4: bytes.fromhex(
            "040000000000000007000000000000000b9e0801c408000000000000000196a172a131a162a16fa970726f6772616d6d"
            "65a0909091970001c20a020381a16f9201029196a1690012a174020090960405c20ac005810304c20000"
        ),
    }
    for version in range(1, ROW_VERSION):
        state = decode_visitor("v", written_by[version])
        assert (state.visitor, state.offset, state.due, state.clock) == ("v", 7, 11, 8)
        assert state.recent == bytes(6)


def test_a_session_is_read_from_the_rows_of_every_version_that_wrote_it_so():
    """The same state, written by versions 3 and 4."""
    start = 1_790_000_000_000
    session = Session(
        id="s1", start=start, last=start + 5000, explicit=True, events=3, page_views=2, entry_path="/a",
        campaign={"source": "n"},
        states={
            11: [start, start + 5000], 12: [-1, [], start + 5000], 14: [3],
            13: [None, 0, None, [start, 1, ["x", True, 1.5, 2**63]]],
        },
        holding=[5], fired={5: 1}, timers={12: start + 125_000}, due=start + 125_000,
    )  # fmt: skip
    expected = Visitor(
        visitor="v", offset=7, due=11, clock=8, visits=1, recent=bytes(6), sessions=[session],
        history={"r": History([start], 0)}, minute=29, taken=3,
    )  # fmt: skip
    rows = (
        bytes.fromhex(
            "030000000000000007000000000000000b9fa0070b0801c408000000000000000191dc0012a27331cf000001a0c4506c"
            "00cf000001a0c4507f88c30302c2a22f61c0c0c0c081a6736f75726365a16e840b92cf000001a0c4506c00cf000001a0"
            "c4507f880c93ff90cf000001a0c4507f880d94c000c093cf000001a0c4506c000194a178c3cb3ff8000000000000cf80"
            "000000000000000e91039105810501810ccf000001a0c4525448cf000001a0c4525448909081a1729291cf000001a0c4"
            "506c0000c080c21d03"
        ),
        bytes.fromhex(
            "040000000000000007000000000000000b9e0801c408000000000000000191a17294cf000001a0c4506c00cd1388c409"
            "008000000000000000ce0001d4c091dc0013a273310103c30302c2a22f61c0c0c0c081a6736f75726365a16e950b0c0d"
            "0e059492010393fe900394c000c093010294a178c3cb3ff8000000000000059106910492040192010707909091930000"
            "01c080c21d03"
        ),
    )
    assert [row[0] for row in rows] == [3, 4]
    for row in rows:
        assert decode_visitor("v", row) == expected


def everything() -> Visitor:
    """A state with every kind of content."""
    start, day = 1_790_000_000_000, 86_400_000
    session = Session(
        id="00a1b2c3d4e5f607", start=start, last=start + 5000, events=3, page_views=2, returning=True, entry_path="/a",
        referrer_host="h", device="mobile", country="IT", locale="it", campaign={"source": "n"},
        states={
            11: [start, start + 5000], 12: [-1, [], start + 5000], 14: [3],
            13: [None, 0, None, [start, 1, ["x", True, False, 1.5, 2**63]]], 15: [-(2**41), 2**61],
        },
        holding=[5, 11], fired={5: 1, 12: 2}, timers={12: start + 125_000}, due=start + 125_000,
    )  # fmt: skip
    return Visitor(
        visitor="v", offset=7, due=start + 125_000, clock=start + 5000, visits=2,
        recent=bytes.fromhex("00010203040508090a0b0c0d"), sessions=[session, Session("s2", start, start, True)],
        exposures=[
            Exposure(
                "r", "0123456789ab", "treated", start + 5000, "b", "o", {"o": [1, -5], "all_costs": [1, 6_500_000]}
            ),
            Exposure("q", "1", "control", start - day),
        ],
        live=[
            LiveSuggestion("0123456789abcdef0123", "r", start + 605_000, "b", 9), LiveSuggestion("i", "q", start),
        ],
        history={"r": History([start, start + 5000], start + 3000), "q": History([start - day])},
        programme=Exposure("programme", "", "treated", start - day, None, "", {"o": [1, -5]}),
        reported={0x010203040506: 1_790_000_000}, unmeasured=True, minute=29_833_333, taken=3,
        journeys={9: [start, [1, "/a"], None]},
    )  # fmt: skip


def test_a_row_of_version_4_with_everything_is_read():
    row = bytes.fromhex(
        "040000000000000007000001a0c45254489fcf000001a0c4507f8802c410000102030405060708090a0b0c0d0e0f98a1"
        "72ac303132333435363738396162a162a16fa171a131a0a970726f6772616d6d659acf000001a0c4506c00cd1388c409"
        "008000000000000000c409fffffffe0000000000c409002000000000000000ce0001d4c0c409003fffffffffffffffd2"
        "fad7bbb8ce052f9748d2fff6d07092dc0013b0303061316232633364346535663630370103c20302c3a22f61a168a66d"
        "6f62696c65a24954a2697481a6736f75726365a16e960b0c0e0d0f059592010393fe9003910694c000c093010295a178"
        "c3c2cb3ff800000000000005920709920500940501010292010b0bdc0013a273320101c30000c2c0c0c0c0c080909090"
        "90900d92970001c203020382a16f9201fba9616c6c5f636f7374739201ce00632ea0960405c30fc0069296c40a012345"
        "6789abcdef01230011a26533020996a1690401a26531c0079294001301039304000f970706c20fc00681a16f9201fb81"
        "cf0102030405060708ce6ab13b80c3ce01c7387503810993019202a22f61c0"
    )
    assert decode_visitor("v", row) == everything()


def test_ids_that_were_numbers_are_cut_as_the_others_are():
    row = bytes.fromhex("020000000000000007000000000000000b96a0070b080191cf0102030405060708")
    assert decode_visitor("v", row).recent == bytes.fromhex("010203040506")


def test_a_row_with_fewer_fields_is_read_with_defaults():
    """Fields are only ever added at the end."""
    row = bytes([1]) + (5).to_bytes(8, "big") + (6).to_bytes(8, "big") + bytes.fromhex("92a005")
    assert decode_visitor("v", row) == Visitor(visitor="v", offset=5)


@pytest.mark.parametrize(("version", "body"), [  # half an id; a negative number, as no version wrote one
    (3, "96a005060700c403aaaaaa"), (3, "96a00506070091ff"), (4, "930700c403aaaaaa"),
])  # fmt: skip
def test_recent_ids_that_cannot_be_are_refused(version, body):
    row = bytes([version]) + bytes(16) + bytes.fromhex(body)
    with pytest.raises(RowVersionError, match="damaged"):
        decode_visitor("v", row)


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ("96050000a0c007", "an id of kind int"),
        ("96a1690500a0c007", "place 5 of a table of 1"), ("96a16900fda0c007", "place -2 of a table of 0"),
    ],
)
def test_a_suggestion_of_version_4_that_cannot_be_is_refused(live, said):
    row = bytes([4]) + bytes(16) + bytes.fromhex("980000c40091a172909090" + "91" + live)
    with pytest.raises(RowVersionError, match=said):
        decode_visitor("v", row)


def test_exposures_that_no_total_has_counted_are_not_credited():
    """A row of version 1: exposure r, and a live suggestion that knows of no receipts."""
    row = bytes.fromhex(
        "010000000000000007000000000000000b9aa0070b08019101909194a172a131a774726561746564059194a169a17209a17480"
    )
    state = decode_visitor("v", row)
    assert (state.exposures, [live.answered for live in state.live]) == ([], [7])
