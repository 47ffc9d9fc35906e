"""docs/snippet.md says what the source does."""

from __future__ import annotations

import re

from tests.browser.support import ROOT, Visit, visitor_of

PAGE = (ROOT / "docs" / "snippet.md").read_text()
SOURCES = {path.name: path.read_text() for path in (ROOT / "streams/http/snippet/src").glob("*.js")}
EVERYTHING = "\n".join(SOURCES.values())


def table(after: str) -> dict[str, list[str]]:
    """The first table after some words: first column (without its quotes) -> the others."""
    lines = PAGE[PAGE.index(after):].split("\n| --- ", 1)[1].splitlines()[1:]
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        first, *others = [cell.strip() for cell in line.strip("|").split("|")]
        rows[first.strip("`")] = others
    return rows


def test_options_are_those_of_the_source_with_their_defaults() -> None:
    written = dict(re.findall(r'^  (\w+): (?:"([^"]*)"|[^"]+), //', SOURCES["options.js"], re.MULTILINE))
    assert {f"data-{name}" for name in written} == set(table("## Options"))
    for name, default in written.items():
        if default:
            assert table("## Options")[f"data-{name}"][0] == f"`{default}`"


def test_types_of_events_are_those_of_the_source() -> None:
    given = re.findall(r'\b(?:add|once)\("([a-z_]+)"', EVERYTHING) + re.findall(r'type: "([a-z_]+)"', EVERYTHING)
    assert set(given) == set(table("<!-- events: begin"))


def test_fields_of_events_stand_in_the_source() -> None:
    named = {field for *_, props in table("<!-- events: begin").values() for field in re.findall(r"`(\w+)`", props)}
    source = SOURCES["capture.js"] + SOURCES["search.js"]
    assert [field for field in sorted(named) if not re.search(rf"\b{field}\b", source)] == []


def test_attributes_of_the_page_are_those_of_the_source() -> None:
    used = set(re.findall(r"data-avert-[a-z]+", EVERYTHING))
    assert used == {name.split("=")[0] for name in table("In the page:")}


def test_calls_and_what_can_be_listened_to_are_those_of_the_source(visit: Visit) -> None:
    page = visit.page("/")
    documented = {re.match(r"avert\.(\w+)", name)[1] for name in table("## Calls")}
    assert documented == set(page.evaluate("Object.keys(avert)")) - {"push"}
    told = set(re.findall(r'\btell\("(\w+)"', EVERYTHING)) - {"page", "identity"}  # between its own parts
    assert told == set(re.findall(r"`(\w+)`", table("## Calls")["avert.on(name, listener)"][0]))


def test_what_is_kept_is_what_is_said(visit: Visit) -> None:
    page = visit.page("/")
    visitor_of(page)
    page.evaluate("avert.track('help_wanted', {who: 'Ada'})")
    page.get_by_role("button", name="Close").click()
    page.evaluate("avert.consent('granted')")
    kept = page.evaluate("Object.keys(localStorage)")
    assert {re.sub(r"^avert\.q\..*", "avert.q.*", key) for key in kept} <= set(table("Kept in"))
    assert {"avert.me", "avert.told", "avert.consent"} <= set(kept)
    assert visit.context.cookies() == []


def test_variables_and_parts_are_those_of_the_source() -> None:
    styles = (ROOT / "streams/http/snippet/src/styles.css").read_text()
    assert set(re.findall(r"--avert-[a-z-]+", styles)) == set(re.findall(r"`(--avert-[a-z-]+)`", PAGE))
    parts = set(re.findall(r'make\("\w+", "(\w+)"', SOURCES["render.js"])) - {"words"}
    assert parts == {"card", "title", "body", "action", "close"}
