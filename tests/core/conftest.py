"""Hypothesis here is derandomized, so that a run of CI means the same for everyone.

To search for new failures: ``pytest tests/core --hypothesis-profile=search`` (random, and ten times the examples).
A failure that is found becomes a case of its own.
"""

from hypothesis import HealthCheck, settings

_calm = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}
settings.register_profile("ci", derandomize=True, max_examples=150, database=None, **_calm)
settings.register_profile("search", max_examples=1500, **_calm)
if settings.get_current_profile_name() not in ("ci", "search"):
    settings.load_profile("ci")
