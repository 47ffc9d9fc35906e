"""Durations and YAML's own values, at their edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.definition import Mark
from streams.rulefiles.values import parse_duration, write_duration
from streams.rulefiles.yaml_tree import ScalarNode, scalar_value

DURATIONS = {
    "500ms": 500,
    "40s": 40_000,
    "5m": 300_000,
    "2h": 7_200_000,
    "7d": 604_800_000,
    "1h30m": 5_400_000,
    "1d2h3m4s5ms": 93_784_005,
    "0s": 0,
}
NOT_DURATIONS = (
    "",
    "5",
    "m",
    "5 m",
    "5m ",
    "-5m",
    "1.5h",
    "5M",
    "30m1h",
    "5m5m",
    "5min",
    "\u0665m",
    "5m\n",
    "1" * 13 + "s",
)


@pytest.mark.parametrize("text", DURATIONS)
def test_duration(text: str) -> None:
    assert parse_duration(text) == DURATIONS[text]


@pytest.mark.parametrize("text", NOT_DURATIONS)
def test_not_a_duration(text: str) -> None:
    assert parse_duration(text) is None


@given(st.integers(0, 10**12))
def test_a_written_duration_reads_back(ms: int) -> None:
    assert parse_duration(write_duration(ms)) == ms


def test_a_time_before_the_start_is_written_with_its_sign() -> None:
    assert write_duration(-90_000) == "-1m30s"


SCALARS = {
    "": None, "~": None, "null": None, "true": True, "False": False, "0": 0, "-3": -3, "+3": 3, "6.50": 6.5, ".5": 0.5,
    "1.": 1.0, "1e3": 1000.0, "0o17": 15, "0xff": 255, "007": 7,
    # words in YAML 1.2, values in 1.1
    "on": "on", "off": "off", "yes": "yes", "no": "no", "y": "y", "1_000": "1_000", "12:30": "12:30",
    "2026-01-05": "2026-01-05", "5m": "5m", "10%": "10%", "nan": "nan", ".inf": ".inf", ".nan": ".nan",
    "1e999": "1e999", "<<": "<<", "=": "=", "9" * 41: "9" * 41,
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_plain_scalar(text: str) -> None:
    value = scalar_value(ScalarNode(Mark(), text, plain=True))
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", SCALARS)
def test_a_quoted_scalar_is_text(text: str) -> None:
    assert scalar_value(ScalarNode(Mark(), text, plain=False)) == text
