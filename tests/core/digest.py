"""A digest of what fifty rules make of random traffic; ``python -m tests.core.digest`` prints that of the core as it is
written, whether or not a compiled one lies beside it.
"""  # fmt: skip

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from pathlib import Path

SEEDS = range(8)


class Written:
    """Finds the core's modules as they are written."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        if not name.startswith("streams.core.") or path is None:
            return None
        return importlib.util.spec_from_file_location(name, Path(path[0]) / f"{name.rpartition('.')[2]}.py")


def digest() -> str:
    """Which core, and the digest of rows, effects and the rules' version."""
    import msgspec  # noqa: PLC0415 - after the finder has been put in its place

    from streams.core import build  # noqa: PLC0415
    from streams.core.visitor import encode_visitor  # noqa: PLC0415
    from tests.core.build import compiled  # noqa: PLC0415
    from tests.core.test_laws import fifty_rules, play  # noqa: PLC0415

    ruleset = compiled(*fifty_rules())
    found = blake2b(ruleset.version.encode())
    for seed in SEEDS:
        log = play(ruleset, 300, seed)
        found.update(msgspec.json.encode(log.effects))
        found.update(encode_visitor(log.state))
    return f"{build()} {found.hexdigest()}"


if __name__ == "__main__":
    sys.meta_path.insert(0, Written)
    print(digest())
