"""Fifty rules of every kind over the benchmark's shop: the twenty jobs, and fifteen other conditions twice each."""

from __future__ import annotations

from pathlib import Path

from bench._workload import jobs, rule_yaml, write_rules

# A rule a paragraph: its name, and its condition as a YAML flow mapping. `Nm` is a window, one of MINUTES: the second
# use of a condition is a condition of its own.
_OTHERS = """\
distinct
{count: {event: product_view}, distinct: sku, at_least: 6, within: Nm}

dear-cart
{sum: total, of: {event: cart_add}, gte: 250, within: Nm}

mean-cart
{average: total, of: {event: cart_add}, gte: 150, within: Nm}

dearest
{max: total, of: {event: [cart_add, checkout_started]}, gte: 190, within: Nm}

last-cart
{last: total, of: {event: cart_add}, lt: 10, within: Nm}

errors-a-buy
{ratio: {of: {event: form_error}, to: {event: purchase}}, gte: 0.5, at_least_events: 4, within: Nm}

trouble
{score: [{when: {event: form_error}, points: 10, half_life: Nm}, {when: {event: login_failed}, points: 15,
 half_life: Nm}, {when: {signal: search_refine}, points: 10, half_life: Nm}], at_least: 25}

refines
{signal: search_refine, within: Nm}

thrash
{signal: thrash, within: Nm}

idle
{idle: Nm, after: {event: cart_add}}

browser
{all: [{seen: {event: product_view}, within: Nm}, {never: {event: cart_add}}, {session: {page_views: {gte: 8}}}]}

either
{any: [{count: {event: payment_failed}, at_least: 2, within: Nm},
 {count: {event: login_failed}, at_least: 3, within: Nm}]}

same-product
{sequence: [{event: product_view, as: first}, {event: product_view, where: {sku: {same_as: first.sku}}}], within: Nm}

no-help
{sequence: [{event: form_error}, {not: {event: help_view}}, {event: form_error}], within: Nm}

then-quiet
{sequence: [{event: checkout_started}, {quiet: Nm, of: {event: purchase}}]}
"""
MINUTES = (4, 7)  # below the pause before a visitor's last event


def write_fifty(directory: Path) -> Path:
    """The fifty as rule files."""
    write_rules(directory, jobs(20))
    rules = []
    for minutes in MINUTES:
        for paragraph in _OTHERS.strip().split("\n\n"):
            name, condition = paragraph.replace("Nm", f"{minutes}m").replace("\n ", " ").split("\n")
            rules.append(rule_yaml(f"{name}-{minutes}", condition))
    (directory / "others.yaml").write_text("---\n".join(rules))
    return directory
