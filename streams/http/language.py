"""Which language a suggestion is answered in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from streams.core.effects import Suggestion
from streams.http.models import Action, SuggestionOut

_ACCEPTED_MAX = 10  # a browser sends two or three; whoever sends a hundred gets the first ten looked at


def wanted_languages(lang: str | None, accept_language: str | None) -> tuple[str, ...]:
    """What the caller asks for, best first: `lang`, then the Accept-Language header (RFC 9110, 12.5.4)."""
    accepted = _accepted(accept_language) if accept_language else ()
    return (lang.lower(), *accepted) if lang else accepted


@lru_cache(maxsize=1024)
def _accepted(header: str) -> tuple[str, ...]:
    ranked: list[tuple[float, str]] = []
    for part in header.lower().split(",")[:_ACCEPTED_MAX]:
        tag, _, parameters = part.partition(";")
        name, _, weight = parameters.strip().partition("=")
        try:
            quality = float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            quality = 0.0
        if tag.strip() not in ("", "*") and quality > 0:
            ranked.append((-quality, tag.strip()))
    return tuple(tag for _, tag in sorted(ranked, key=lambda item: item[0]))


def choose(texts: Mapping[str, str], wanted: Iterable[str]) -> str:
    """The text in the first wanted language that there is, else the first text; "" when there is none.

    For each wanted tag: the same tag; then the same without its regions (``it-CH`` -> ``it``); then a regional
    variant of it (``pt`` -> ``pt-BR``).
    """
    if len(texts) > 1:
        by_tag = {tag.lower(): text for tag, text in texts.items()}
        for tag in wanted:
            language = tag.partition("-")[0]
            found = by_tag.get(tag) or by_tag.get(language)
            if found is None:
                found = next((text for known, text in by_tag.items() if known.partition("-")[0] == language), None)
            if found is not None:
                return found
    return next(iter(texts.values()), "")


def in_language(suggestion: Suggestion, wanted: Sequence[str]) -> SuggestionOut:
    """The suggestion as the page gets it."""
    tags = (*wanted, suggestion.locale.lower()) if suggestion.locale else tuple(wanted)
    label = choose(suggestion.action_label, tags)
    href = suggestion.action_href
    return SuggestionOut(
        id=suggestion.id,
        rule=suggestion.rule,
        placement=suggestion.placement,
        title=choose(suggestion.title, tags),
        body=choose(suggestion.body, tags),
        action=Action(label, href) if label and href else None,
        expires=suggestion.expires,
    )
