"""The house held to its plan: import directions, bans, sizes. Each check also shows that it can fail.

A check takes parsed modules and returns what is wrong, one line each. Nothing is imported but the parser: a
module that cannot be imported here is checked all the same.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BROAD_EXCEPTS_MAX = 2

# What the pure core may use of the standard library and of others: nothing that has a clock, chance, a file, a
# socket, a thread or a log in it. `datetime` and `zoneinfo` are values; their `now` is banned separately.
CORE_MAY_IMPORT = {
    "__future__", "abc", "bisect", "collections", "collections.abc", "dataclasses", "datetime", "enum", "fractions",
    "functools", "hashlib", "heapq", "html", "itertools", "math", "operator", "re", "string", "struct", "typing",
    "urllib.parse", "zoneinfo", "msgspec", "re2",
}  # fmt: skip
CORE_CALLS_BANNED = {
    "open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint", "id", "hash",
    "now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "getenv", "urandom", "uuid4",
}  # fmt: skip

# Which other rooms a room may import; `streams.errors` and its own modules are open to everyone.
ROOM_MAY_IMPORT = {
    "core": set(),
    "errors": set(),
    "settings": set(),
    "keys": {"telemetry"},
    "retention": {"settings"},
    "processes": {"settings", "telemetry"},
    "telemetry": {"core"},
    "rulefiles": {"core", "settings", "telemetry"},
    "delivery": {"core", "settings", "telemetry"},
    "worker": {"core", "rulefiles", "delivery", "keys", "processes", "retention", "settings", "telemetry", "impact"},
    "http": {"core", "rulefiles", "delivery", "keys", "processes", "retention", "settings", "telemetry", "impact"},
    "impact": {"core", "rulefiles", "backtest", "replay", "settings", "telemetry"},
    "backtest": {"core", "rulefiles", "settings", "telemetry", "replay"},
    "replay": {"core", "settings", "telemetry"},
    "plan": {"rulefiles"},  # its reader of YAML, for costs
    "doctor": {"core", "rulefiles", "worker", "delivery", "keys", "retention", "settings", "telemetry"},
    "embedded": {"core", "rulefiles", "worker", "http", "delivery", "replay", "settings", "telemetry"},
    "cli_shared": {"backtest", "core", "embedded", "replay", "rulefiles", "settings"},
    "cli_rules": {
        "cli_shared", "core", "rulefiles", "worker", "backtest", "replay", "settings", "telemetry",
    },
    "cli_impact": {"cli_shared", "core", "impact", "rulefiles", "settings"},
    "cli_case": {"cli_shared", "impact"},
    "cli_plan": {"cli_shared", "plan"},
    "outcomes_import": {"backtest", "core", "replay", "settings"},
    "cli_outcomes": {"cli_shared", "outcomes_import", "rulefiles"},
    "cli": {
        "cli_case", "cli_impact", "cli_outcomes", "cli_plan", "cli_rules", "cli_shared", "core", "rulefiles", "worker",
        "http", "delivery", "impact", "backtest", "replay", "doctor", "embedded", "settings", "telemetry",
    },
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip

# Who alone may import what.
ONLY_IMPORTER = {
    "faust": "streams.worker.",
    "mode": "streams.worker.",
    "prometheus_client": "streams.telemetry",
    "structlog": "streams.telemetry",
}
MAY_PRINT = ("streams.cli", "streams.embedded.")


@dataclass(frozen=True)
class Module:
    """One parsed module of the package, by its dotted name."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"


def package_modules() -> list[Module]:
    found = []
    for path in sorted((ROOT / "streams").rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found.append(
            Module(dotted.removesuffix(".__init__") if dotted != "streams.__init__" else "streams", path.read_text())
        )
    return found


def imports_of(module: Module) -> Iterator[tuple[str, int]]:
    """(what is imported, line), everywhere in the module, also inside functions; relative imports written out."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.name.split(".")[: -node.level]
                base = ".".join([*package, *filter(None, [base])])
            yield base, node.lineno
            for alias in node.names:  # `from streams import worker` names a room too
                if base == "streams":
                    yield f"streams.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            argument = node.args[0] if node.args else None
            yield (str(argument.value) if isinstance(argument, ast.Constant) else "?dynamic"), node.lineno


def _called(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


# --- the checks ------------------------------------------------------------------------------------------------


def core_impurities(module: Module) -> Iterator[str]:
    """Imports, calls and constructs that a pure core cannot have."""
    if module.room != "core":
        return
    for name, line in imports_of(module):
        if name.startswith("streams.core") or name in ("streams.errors", "streams"):
            continue
        if name not in CORE_MAY_IMPORT:
            yield f"{module.name}:{line}: the core does not import {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global):
            yield f"{module.name}:{node.lineno}: no async and no `global` in the core"
        if isinstance(node, ast.Call) and _called(node) in CORE_CALLS_BANNED and not _is_re_compile(node):
            yield f"{module.name}:{node.lineno}: the core does not call {_called(node)}()"


def _is_re_compile(call: ast.Call) -> bool:
    """`re.compile` and a compiler's own `compile` method are not the builtin."""
    return _called(call) == "compile" and isinstance(call.func, ast.Attribute)


def wrong_directions(module: Module) -> Iterator[str]:
    """Imports of rooms that this room must not know."""
    allowed = ROOM_MAY_IMPORT.get(module.room)
    if allowed is None:
        yield f"{module.name}: no such room in the plan; add it to ROOM_MAY_IMPORT with what it may import"
        return
    for name, line in imports_of(module):
        parts = name.split(".")
        if parts[0] != "streams" or len(parts) == 1:
            continue
        if parts[1] not in allowed | {module.room, "errors"}:
            yield f"{module.name}:{line}: {module.room} does not import {name}"


def foreign_importers(module: Module) -> Iterator[str]:
    """Libraries that one room alone may import."""
    for name, line in imports_of(module):
        owner = ONLY_IMPORTER.get(name.split(".")[0])
        if owner is not None and not (module.name + ".").startswith(owner if owner.endswith(".") else owner + "."):
            yield f"{module.name}:{line}: only {owner.rstrip('.')} imports {name}"


def environment_readers(module: Module) -> Iterator[str]:
    """`os.environ` and `os.getenv` outside settings.py."""
    if module.name == "streams.settings":
        return
    for node in ast.walk(module.tree):
        named = (isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb", "putenv")) or (
            isinstance(node, ast.alias) and node.name in ("environ", "getenv", "environb")
        )
        if named:
            yield f"{module.name}:{getattr(node, 'lineno', 0)}: only settings.py reads the environment"


def prints(module: Module) -> Iterator[str]:
    """`print` outside the commands and the demo: everything else logs."""
    if (module.name + ".").startswith(tuple(name if name.endswith(".") else name + "." for name in MAY_PRINT)):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{module.name}:{node.lineno}: print belongs to the commands; log instead"


def broad_excepts(module: Module) -> Iterator[str]:
    """Handlers that swallow everything. One that ends in a bare `raise` only cleans up and is not meant."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(
            kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException")) for kind in kinds
        )
        last = node.body[-1]
        if broad and not (isinstance(last, ast.Raise) and last.exc is None):
            yield f"{module.name}:{node.lineno}: a handler for everything"


def oversized(module: Module) -> Iterator[str]:
    """Modules that do not fit in a head, functions that do not fit on a screen."""
    lines = module.text.count("\n") + (not module.text.endswith("\n"))
    if lines > MODULE_LINES_MAX:
        yield f"{module.name}: {lines} lines; at most {MODULE_LINES_MAX}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{module.name}:{node.lineno}: {node.name} has {length} lines; at most {FUNCTION_LINES_MAX}"


def stray_metrics(module: Module) -> Iterator[str]:
    """A metric's name written outside telemetry.py: it is defined there, once, and elsewhere only emitted."""
    if module.name == "streams.telemetry":
        return
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if re.search(r"\bavert_[a-z_]+_(total|seconds|bytes|records|ratio)\b", node.value):
            yield f"{module.name}:{node.lineno}: a metric is named in telemetry.py only"


def metric_names(module: Module) -> list[tuple[str, str]]:
    """(kind, name) of every metric that a telemetry module defines."""
    return [
        (_called(node).strip("_"), str(node.args[0].value))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and _called(node) in ("_counter", "_gauge", "_histogram")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ]


def ill_named_metrics(module: Module) -> Iterator[str]:
    """Prometheus' conventions: our prefix, `_total` for counters and for them alone, base units, each name once."""
    seen: set[str] = set()
    for kind, name in metric_names(module):
        if name in seen:
            yield f"{name}: defined twice"
        seen.add(name)
        if not re.fullmatch(r"avert_[a-z][a-z0-9_]*", name):
            yield f"{name}: lower case with the prefix avert_"
        if (kind == "counter") != name.endswith("_total"):
            yield f"{name}: counters end in _total, and nothing else does"
        if re.search(r"_(ms|millis|milliseconds|minutes|hours|kb|kib|mb)(_|$)", name):
            yield f"{name}: base units: seconds, bytes"


# Absolute paths of somebody's machine; the container's own (/app, /etc, /var, /tmp, /usr) are none.
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|Users|root|work)/[\w.-]+")


def machine_paths(where: str, text: str) -> Iterator[str]:
    """What no file of the project may name: where somebody happened to keep it."""
    for number, line in enumerate(text.splitlines(), 1):
        found = MACHINE_PATH.search(line)
        if found:
            yield f"{where}:{number}: names {found.group()}"


# --- the house -------------------------------------------------------------------------------------------------

MODULES = package_modules()
PER_MODULE: list[Callable[[Module], Iterator[str]]] = [
    core_impurities, wrong_directions, foreign_importers, environment_readers, prints, oversized, stray_metrics,
]  # fmt: skip


@pytest.mark.parametrize("check", PER_MODULE, ids=lambda check: check.__name__)
def test_no_module_breaks_the_plan(check):
    assert [fault for module in MODULES for fault in check(module)] == []


def test_handlers_for_everything_are_counted():
    found = [fault for module in MODULES for fault in broad_excepts(module)]
    assert len(found) <= BROAD_EXCEPTS_MAX, found


def test_metrics_are_well_named():
    telemetry = next(module for module in MODULES if module.name == "streams.telemetry")
    assert metric_names(telemetry)
    assert list(ill_named_metrics(telemetry)) == []


def test_every_metric_is_emitted_somewhere():
    """A metric that nobody sets reads as a zero, and a zero reads as good news."""
    telemetry = next(module for module in MODULES if module.name == "streams.telemetry")
    names = {
        node.targets[0].id
        for node in telemetry.tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and _called(node.value) in ("_counter", "_gauge", "_histogram")
    }
    used = {
        node.id if isinstance(node, ast.Name) else node.attr
        for module in MODULES
        if module is not telemetry
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name | ast.Attribute)
    }
    assert names - used == set()


def test_tests_mirror_the_core():
    core = {module.name.split(".")[-1] for module in MODULES if module.name.startswith("streams.core.")}
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "core").glob("test_*.py")}
    assert core - tested == set()


def test_every_room_has_tests():
    rooms = {path.name for path in (ROOT / "streams").iterdir() if (path / "__init__.py").exists()}
    tested = {path.name for path in (ROOT / "tests").iterdir() if list(path.glob("test_*.py"))}
    assert rooms - tested == set()


def test_no_file_names_the_place_where_it_was_built():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode().split("\0")  # fmt: skip
    faults = []
    for name in filter(None, listed):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 1_000_000:
            faults += machine_paths(name, path.read_text(errors="replace"))
    assert len(list(filter(None, listed))) > 20
    assert faults == []


def test_the_lock_names_no_place_to_download_from():
    """Where packages come from is the business of the machine that installs them."""
    assert "://" not in (ROOT / "requirements.lock").read_text()


# --- each check can fail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "name", "text"),
    [
        (core_impurities, "streams.core.x", "import time"),
        (core_impurities, "streams.core.x", "import os.path"),
        (core_impurities, "streams.core.x", "from random import choice"),
        (core_impurities, "streams.core.x", "import asyncio"),
        (core_impurities, "streams.core.x", "import logging"),
        (core_impurities, "streams.core.x", "import socket"),
        (core_impurities, "streams.core.x", "from streams import telemetry"),
        (core_impurities, "streams.core.x", "from .. import settings"),
        (core_impurities, "streams.core.x", "def f():\n    from streams.settings import Settings"),
        (core_impurities, "streams.core.x", "from datetime import datetime\nd = datetime.now()"),
        (core_impurities, "streams.core.x", "async def f(): ..."),
        (core_impurities, "streams.core.x", "def f():\n    global a\n    a = 1"),
        (core_impurities, "streams.core.x", "f = open('a')"),
        (core_impurities, "streams.core.x", "h = hash('a')"),
        (wrong_directions, "streams.rulefiles.x", "import streams.worker.main"),
        (wrong_directions, "streams.rulefiles.x", "from streams.embedded import stack"),
        (wrong_directions, "streams.http.x", "from streams.worker.app import app"),
        (wrong_directions, "streams.http.x", "from ..worker import app"),
        (wrong_directions, "streams.worker.x", "from streams import http"),
        (wrong_directions, "streams.worker.x", "def f():\n    import streams.cli"),
        (wrong_directions, "streams.worker.x", "import importlib\nimportlib.import_module('streams.cli')"),
        (wrong_directions, "streams.telemetry", "from streams.settings import Settings"),
        (wrong_directions, "streams.attic.x", "pass"),
        (foreign_importers, "streams.http.x", "import faust"),
        (foreign_importers, "streams.workers", "import faust"),
        (foreign_importers, "streams.delivery", "from mode.services import Service"),
        (foreign_importers, "streams.worker.x", "from prometheus_client import Counter"),
        (foreign_importers, "streams.worker.x", "import prometheus_client.registry"),
        (environment_readers, "streams.http.x", "import os\na = os.environ['A']"),
        (environment_readers, "streams.http.x", "from os import getenv"),
        (prints, "streams.worker.x", "print(1)"),
        (prints, "streams.client", "print(1)"),
        (broad_excepts, "streams.x", "try: a\nexcept Exception: pass"),
        (broad_excepts, "streams.x", "try: a\nexcept: pass"),
        (broad_excepts, "streams.x", "try: a\nexcept (ValueError, BaseException) as e: raise ValueError from e"),
        (oversized, "streams.x", "a = 1\n" * (MODULE_LINES_MAX + 1)),
        (oversized, "streams.x", "def f():\n" + "    a = 1\n" * FUNCTION_LINES_MAX),
        (stray_metrics, "streams.x", "c = counter('avert_events_total')"),
        (ill_named_metrics, "streams.telemetry", "A = _counter('avert_events')"),
        (ill_named_metrics, "streams.telemetry", "A = _gauge('avert_events_total')"),
        (ill_named_metrics, "streams.telemetry", "A = _gauge('lag')"),
        (ill_named_metrics, "streams.telemetry", "A = _histogram('avert_step_ms')"),
        (ill_named_metrics, "streams.telemetry", "A = _gauge('avert_a')\nB = _gauge('avert_a')"),
    ],
)
def test_the_check_finds_it(check, name, text):
    assert list(check(Module(name, text))) != []


@pytest.mark.parametrize(
    ("check", "name", "text"),
    [
        (core_impurities, "streams.core.x", "import re\nfrom streams.errors import AvertError\np = re.compile('a')"),
        (core_impurities, "streams.http.x", "import time"),
        (wrong_directions, "streams.core.x", "from streams.core.event import Event\nimport streams.errors"),
        (wrong_directions, "streams.cli", "from streams.worker.main import main"),
        (foreign_importers, "streams.worker.app", "import faust"),
        (foreign_importers, "streams.telemetry", "import prometheus_client"),
        (environment_readers, "streams.settings", "import os\na = os.environ"),
        (prints, "streams.cli", "print(1)"),
        (broad_excepts, "streams.x", "try: a\nexcept BaseException:\n    close()\n    raise"),
        (oversized, "streams.x", "a = 1\n" * MODULE_LINES_MAX),
        (oversized, "streams.x", "def f():\n" + "    a = 1\n" * (FUNCTION_LINES_MAX - 1)),
        (stray_metrics, "streams.x", '"""On failure avert_redis_errors_total counts."""'),
        (ill_named_metrics, "streams.telemetry", "A = _counter('avert_events_total')"),
    ],
)
def test_the_check_lets_it_pass(check, name, text):
    assert list(check(Module(name, text))) == []


def test_the_path_check_finds_a_machine():
    assert list(machine_paths("a.md", "see /" + "home/jane/avert for more")) != []
    assert list(machine_paths("a.md", "the network/worker/main is fine, so is /app/rules")) == []
