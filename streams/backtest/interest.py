"""What of a recording can concern some rule sets at all: everything else need not be read in full.

1. An event type is *heard* when a condition or an outcome listens to it, when it may withdraw a suggestion, or when
   it is a receipt. Of the others `props` are not looked at.
2. `page` is looked at where a rule says so, or asks for what the session learned from one; `context` likewise, and
   always when it speaks of consent.
3. A visitor none of whose events is heard can make nothing happen, unless a rule waits for silence or holds before
   anything has happened. Only his sessions are counted.

The words are looked for in the whole text of the definitions: one too many only costs time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from streams.core.matcher import listens_to
from streams.core.ruleset import Ruleset
from streams.core.tree import definition_text

# Built-in signals read pages and elements without naming them.
_PAGE = re.compile(r"page\.|entry_path|referrer_host|signal", re.IGNORECASE)
_CONTEXT = re.compile(r"context\.|device|country|locale|campaign|signal", re.IGNORECASE)
_TYPES_REMEMBERED_MAX = 4096  # event types come from data


class Interest:
    """What `rulesets` want to know of an event."""

    def __init__(self, rulesets: Sequence[Ruleset]) -> None:
        self._rulesets = tuple(rulesets)
        texts = [definition_text(ruleset.program) for ruleset in rulesets]
        self.pages = any(map(_PAGE.search, texts))
        self.contexts = any(map(_CONTEXT.search, texts))
        self.always = any(ruleset.idle or ruleset.initial for ruleset in rulesets)
        self._heard: dict[str, bool] = {}

    def hears(self, event_type: str) -> bool:
        """Whether an event of this type may change more than the session's time."""
        found = self._heard.get(event_type)
        if found is None:
            found = event_type.startswith("suggestion_") or any(_hears(one, event_type) for one in self._rulesets)
            if len(self._heard) < _TYPES_REMEMBERED_MAX:
                self._heard[event_type] = found
        return found


def _hears(ruleset: Ruleset, event_type: str) -> bool:
    audience = ruleset.audience(event_type)
    if audience.always or audience.by_value:
        return True
    return any(rule.withdraw and listens_to(rule.withdraw[0], event_type) for rule in ruleset.rules)
