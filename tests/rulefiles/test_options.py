"""The engine's options as the settings say them."""

from dataclasses import fields

import msgspec

from streams.core.ruleset import EngineOptions
from streams.core.signals import SignalOptions
from streams.rulefiles.options import engine_options
from streams.settings import Settings, load_settings


def test_the_defaults_are_the_engines_own():
    assert engine_options(Settings()) == EngineOptions()


def test_every_threshold_of_a_signal_is_a_setting():
    for number, field in enumerate(fields(SignalOptions), 11):
        settings = load_settings({f"AVERT_SIGNAL_{field.name.upper()}": str(number)})
        assert getattr(engine_options(settings).signals, field.name) == number


def test_what_is_set_arrives():
    settings = msgspec.structs.replace(Settings(), session_timeout_ms=7, consent_default="denied")
    options = engine_options(settings)
    assert (options.session_timeout_ms, options.consent_default) == (7, False)
