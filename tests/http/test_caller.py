"""What a request presents, read the short way and the general one."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RequestError
from streams.http.caller import _query


@given(st.text(alphabet="ab=&;+%2é .~", max_size=40))
def test_a_query_is_read_as_the_library_reads_it(text: str) -> None:
    assert _query(text.encode("latin-1")) == dict(parse_qsl(text, keep_blank_values=True))


@pytest.mark.parametrize("value", ["1", "%31"])
@pytest.mark.parametrize(("fields", "refused"), [(199, False), (200, False), (201, True)])
def test_a_query_has_two_hundred_fields_at_most(value: str, fields: int, refused: bool) -> None:
    text = "&".join(f"f{number}={value}" for number in range(fields)).encode()
    if refused:
        with pytest.raises(RequestError):
            _query(text)
    else:
        assert len(_query(text)) == fields
