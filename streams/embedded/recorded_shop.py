"""The recorded shop traffic (tests/data/snowplow_ecommerce) as events of our vocabulary.

Snowplow published it with its dbt package for e-commerce (Apache-2.0 at the recorded commit), and with it a table
of what each session came to. To reproduce that table, three things of theirs are modelled here:

1. A cart is *created* by an `add_to_cart` whose products' prices add up to the cart's total: nothing was in it
   before. Their model derives this in SQL; here it is `props.cart_created`, derived from the same two facts.
2. Their run leaves out the application `skip-me`.
3. The events of the application `DemoID` are from a mobile app whose session id stood in a context that the
   extract does not hold; the owner's table names it, and there is one such session only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streams.replay import ReplayOptions, Row

RECORDING = Path(__file__).resolve().parents[2] / "tests" / "data" / "snowplow_ecommerce" / "events.jsonl.gz"
APPLICATION_LEFT_OUT = "skip-me"
MOBILE_SESSION = "c04bddd7-81ad-4f02-a468-f53a47079637"
CENT = 0.005  # prices are decimal texts; sums of their floats are compared to half a cent


def adapt(row: Row) -> Row | None:
    """One recorded line with our columns; None for what their run leaves out. Values that are not there stay out."""
    given = _object(row.get("props"))
    if given.get("app_id") == APPLICATION_LEFT_OUT:
        return None
    products = [_object(product) for product in given.get("product") or []]
    cart = _first(given.get("cart"))
    order = _first(given.get("transaction"))
    step = _first(given.get("checkout_step"))
    props = {
        "sku": products[0].get("id") if products else None,
        "price": _number(products[0].get("price")) if products else None,
        "cart_total": _number(cart.get("total_value")),
        "cart_created": _cart_created(row.get("event"), products, cart),
        "step": step.get("step"),
        "total": _number(order.get("revenue")),
        "order": order.get("transaction_id"),
    }
    return {
        "id": row.get("event_id"),
        "visitor": row.get("user_id") or MOBILE_SESSION,
        "session": row.get("session_id") or MOBILE_SESSION,
        "type": row.get("event"),
        "ts": row.get("ts"),
        "path": given.get("page_urlpath"),
        "props": {name: value for name, value in props.items() if value is not None},
    }


OPTIONS = ReplayOptions(adapt=adapt, rename={"transaction": "purchase"})


def _cart_created(event: object, products: list[dict[str, Any]], cart: dict[str, Any]) -> bool | None:
    total = _number(cart.get("total_value"))
    if event != "add_to_cart" or total is None:
        return None
    return abs(sum(_number(product.get("price")) or 0.0 for product in products) - total) < CENT


def _number(value: object) -> float | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: object) -> dict[str, Any]:
    return _object(value[0]) if isinstance(value, list) and value else {}
