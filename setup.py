"""The optional build of the core by mypyc: ``AVERT_COMPILE=1 pip install .``, or ``make compiled`` in a clone.

Without it the same modules run as they are written; the tests run on both (docs/decisions/ has what it brings).
Left out: what is not asked for an event (explain, definition, schedule), and the modules with msgspec's Structs, which
mypyc cannot compile (wire, effects, visitor).
"""

from __future__ import annotations

import os

from setuptools import setup

COMPILED = (
    "aggregates", "conditions", "consent", "decide", "engine", "event", "experiment", "leaves", "matcher", "nodes", "outcome",
    "quiet", "ruleset", "score", "sequence", "sequence_plan", "session", "session_fields", "signals", "suggestion",
    "tree", "value_tests",
)  # fmt: skip

extensions = []
if os.environ.get("AVERT_COMPILE") == "1":
    from mypyc.build import mypycify

    extensions = mypycify([f"streams/core/{name}.py" for name in COMPILED], opt_level="3", debug_level="0")

setup(ext_modules=extensions)
