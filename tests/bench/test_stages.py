"""Samples of the profiler to stages."""

from __future__ import annotations

from collections import Counter

from bench._processes import ROOT
from bench.stages import _steps, classify, read_samples


def test_a_sample_belongs_to_the_innermost_function_that_is_known() -> None:
    frames = ("run (streams/worker/commit.py:1)", "Applier._step (streams/worker/apply.py:173)",
              "step (streams/core/engine.py:87)", "helper (somewhere/else.py:3)")  # fmt: skip

    assert classify(frames, {}) == "engine"


def test_sending_is_told_apart_by_the_numbered_step_that_awaits_it() -> None:
    frames = ("BatchProcedure._leave (streams/worker/commit.py:112)", "RecordSender.send (streams/worker/send.py:70)")

    assert classify(frames, {112: "changelog"}) == "changelog"
    assert classify(frames, {}) == "other"


def test_the_steps_are_read_off_the_worker_as_it_is() -> None:
    assert {"effects", "changelog"} <= set(_steps(ROOT).values())


def test_a_thread_that_waits_does_not_count() -> None:
    text = "thread (1): MainThread;step (streams/core/engine.py:87) 3\nthread (2): x;wait (threading.py:331) 9\n"

    assert Counter({("main", "engine"): 3}) == read_samples(text, {})
