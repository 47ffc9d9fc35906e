from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.event import Event, check_event
from streams.http.dialects.names import WORDS, event_type, named, snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Newsletter Signup", "newsletter_signup"),
        ("newsletterSignup", "newsletter_signup"),
        ("NewsletterSignup", "newsletter_signup"),
        ("HTMLLoaded", "html_loaded"),
        ("newsletter-signup", "newsletter_signup"),
        ("  Newsletter — Signup! ", "newsletter_signup"),
        ("order.completed", "order.completed"),
        ("Café", "cafe"),
        ("$feature_flag_called", "feature_flag_called"),
        ("V2 Signup", "v2_signup"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_a_name_in_snake_case(name: str, expected: str) -> None:
    assert expected == snake_case(name)


def test_names_of_other_scripts_stay_apart() -> None:
    order, refund, sign = snake_case("Заказ 5"), snake_case("Возврат 5"), snake_case("注文")
    assert len({order, refund, sign}) == 3
    assert re.fullmatch(r"5_[0-9a-f]{8}", order)
    assert re.fullmatch(r"custom_[0-9a-f]{8}", sign)


@pytest.mark.parametrize("length", [63, 64, 65])
def test_names_at_the_limit_stay_apart(length: int) -> None:
    one, other = snake_case("a" * length), snake_case("a" * (length + 5))
    assert len(one) == min(length, 64)
    assert one != other


@given(st.text(min_size=1))
def test_any_name_is_a_type_or_nothing(name: str) -> None:
    plain = snake_case(name)
    if plain:
        assert check_event(Event(id="1", visitor="v", type=plain, ts=0)) is None
    else:
        assert name.strip() == ""


def test_each_word_is_a_type_and_each_name_is_in_snake_case() -> None:
    for name, word in WORDS.items():
        assert name == snake_case(name)
        assert check_event(Event(id="1", visitor="v", type=word.type, ts=0)) is None
        assert event_type(name) == word.type


def test_our_fields_are_added_and_theirs_stay() -> None:
    kind, props = named("Order Completed", {"order_id": "A-1", "revenue": 12.5, "total": None, "coupon": "X"})
    assert kind == "purchase"
    assert props == {"order_id": "A-1", "revenue": 12.5, "total": 12.5, "coupon": "X", "order": "A-1"}
    assert named("Products Searched", {"query": "a", "results": 0}) == ("search", {"query": "a", "results": 0})
