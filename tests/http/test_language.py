from __future__ import annotations

import pytest

from streams.http.language import choose, in_language, wanted_languages
from streams.http.models import Action
from tests.http.support import suggestion

TEXTS = {"en": "Hello", "it": "Ciao", "pt-BR": "Olá"}


@pytest.mark.parametrize(
    ("lang", "header", "wanted"),
    [
        (None, None, ()), ("IT", None, ("it",)), (None, "it-IT,it;q=0.9,en;q=0.8", ("it-it", "it", "en")),
        (None, "en;q=0.2, it;q=0.7", ("it", "en")), ("de", "it", ("de", "it")),
        (None, "*", ()), (None, "it;q=0, en", ("en",)),
        (None, "it;q=nonsense", ()), (None, ",,;", ()), (None, ",".join(["xx"] * 50 + ["it"]), ("xx",) * 10),
    ],
)
def test_what_the_caller_asks_for(lang: str | None, header: str | None, wanted: tuple[str, ...]) -> None:
    assert wanted_languages(lang, header) == wanted


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ((), "Hello"), (("it",), "Ciao"), (("it-ch",), "Ciao"), (("pt",), "Olá"),
        (("pt-br",), "Olá"), (("pt-pt",), "Olá"), (("de",), "Hello"), (("de", "it"), "Ciao"),
    ],
)
def test_the_first_wanted_language_that_there_is(wanted: tuple[str, ...], text: str) -> None:
    assert choose(TEXTS, wanted) == text


def test_no_texts_are_an_empty_text() -> None:
    assert choose({}, ("it",)) == ""


def test_the_visitors_locale_comes_after_what_is_asked_for() -> None:
    italian = suggestion("v", locale="it-IT")
    assert in_language(italian, ()).title == "Non lo trovi?"
    assert in_language(italian, ("en",)).title == "Can't find it?"
    assert in_language(italian, ("de",)).title == "Non lo trovi?"


def test_an_action_needs_a_label_and_a_link() -> None:
    assert in_language(suggestion("v", action_label={"en": "Go"}, action_href="/go"), ()).action == Action("Go", "/go")
    assert in_language(suggestion("v", action_label={"en": "Go"}), ()).action is None
    assert in_language(suggestion("v", action_href="/go"), ()).action is None
