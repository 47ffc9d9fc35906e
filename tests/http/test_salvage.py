from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.http.salvage import Salvaged, salvage_list

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(_json, max_size=6))
def test_a_whole_list_comes_apart_as_the_decoder_would(elements: list[object]) -> None:
    salvaged = salvage_list(msgspec.json.encode(elements))
    assert salvaged is not None
    assert [msgspec.json.decode(element) for element in salvaged.elements] == elements


def test_the_list_of_an_envelope() -> None:
    assert salvage_list(b'{"a":1,"events":[1, {"b":[2]}],"c":3}') == Salvaged(
        [b"1", b'{"b":[2]}'], b'{"a":1,"events":[],"c":3}'
    )


@pytest.mark.parametrize(
    "body", [b"", b"1", b"{", b"[", b"[1,", b'["a', b'["a\\', b'{"events":1}', b"[{]", b"[" * 300_000]
)
def test_what_has_no_end_is_given_up(body: bytes) -> None:
    assert salvage_list(body) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(body: bytes) -> None:
    salvage_list(b"[" + body + b"]")
