"""Funnels as they are written down."""

from __future__ import annotations

from dataclasses import replace

from streams.core.definition import Mark
from tests.core.build import compiled, funnel


def test_where_a_funnel_stands_is_no_part_of_it():
    here = funnel("a", "b")
    moved = replace(here, mark=Mark("other.yaml", 7))
    assert moved == here
    assert compiled(funnels=(moved,)).version == compiled(funnels=(here,)).version


def test_other_steps_make_another_program():
    assert compiled(funnels=(funnel("a", "b"),)).version != compiled(funnels=(funnel("a", "c"),)).version
