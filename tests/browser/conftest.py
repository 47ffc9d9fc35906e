"""The whole of Avert, the demo shop, and a real chromium in front of it.

One of each for this folder, and gone after it: playwright keeps a loop of its own running, beside which no asynchronous
test of another folder could run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from streams.embedded.local import Local
from streams.embedded.shop import Shop
from streams.embedded.shopfront import running_shop
from streams.settings import Settings
from tests.browser.support import WATCH, Log, Visit, rules_without_holdouts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    rules = rules_without_holdouts(tmp_path_factory.mktemp("rules"))
    with Local(Settings(rules_dir=rules, partitions=2)) as running:
        yield running


@pytest.fixture(scope="package")
def shop(local: Local) -> Iterator[Shop]:
    with running_shop(local) as running:
        yield running


@pytest.fixture(scope="package")
def log(local: Local) -> Iterator[Log]:
    reading = Log(local.settings)
    yield reading
    reading.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is not installed: make browser"
    with sync_playwright() as playwright:
        # A page that a test has changed on its way counts as one from the internet, which may not call loopback.
        local_calls = "--disable-features=LocalNetworkAccessChecks"
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", local_calls])
        yield browser
        browser.close()


@pytest.fixture
def visits(local: Local, shop: Shop, log: Log, chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Makes visitors. None of them may see an error, break the policy, or make the snippet swallow an exception."""
    made: list[Visit] = []

    def visit(**options: Any) -> Visit:
        context = chromium.new_context(**options)
        context.set_default_timeout(20_000)
        context.add_init_script(WATCH)
        made.append(Visit(context, shop.url, local.api_url, log))
        return made[-1]

    yield visit
    problems = [problem for one in made for problem in one.unexpected()]
    for one in made:
        one.context.close()
    assert problems == []


@pytest.fixture
def visit(visits: Callable[..., Visit]) -> Visit:
    """One visitor with a desktop browser."""
    return visits()
