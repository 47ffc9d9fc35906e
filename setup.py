"""The optional build of the core, and of the loop over a batch, by mypyc: ``make compiled`` in a clone.

Elsewhere ``AVERT_COMPILE=1 pip install .``, with mypy and a C compiler there.

Without it the same modules run as they are written; the tests run on both (docs/decisions/ has what it brings).
Left out: what is not asked for an event (explain, definition, schedule), and the modules with msgspec's Structs, which
mypyc cannot compile (wire, effects, visitor, old_rows).
"""

from __future__ import annotations

import os

from setuptools import setup

COMPILED = (
    "core/aggregates", "core/conditions", "core/consent", "core/counted", "core/decide", "core/due", "core/engine",
    "core/event", "core/experiment", "core/funnel", "core/journey", "core/leaves", "core/matcher", "core/nodes",
    "core/outcome", "core/packing", "core/quiet", "core/ruleset", "core/score", "core/sequence", "core/sequence_plan",
    "core/session", "core/session_fields", "core/signals", "core/suggestion", "core/touched", "core/totals",
    "core/tree", "core/unpacking", "core/value_tests", "worker/apply", "worker/partition",
)  # fmt: skip

# Without these every call from one compiled function to another goes through the linker's table and none is inlined, as
# somebody might put a function of the same name in its place: a tenth of the worker's CPU. Of other compilers than gcc
# and clang (Windows) it is not expected.
HIDDEN = ("-fvisibility=hidden", "-fno-semantic-interposition")

extensions = []
if os.environ.get("AVERT_COMPILE") == "1":
    from mypyc.build import mypycify

    # The library that all of them share is named, so that it lies in the package too: at the top of a clone it would be
    # found from there only.
    extensions = mypycify(
        [f"streams/{name}.py" for name in COMPILED],
        opt_level="3", debug_level="0", group_name="streams.core.compiled",
    )  # fmt: skip
    for extension in extensions:
        extension.extra_compile_args += [] if os.name == "nt" else HIDDEN

setup(ext_modules=extensions)
