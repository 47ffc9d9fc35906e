import os

from segment import analytics

analytics.write_key = os.environ["WRITE_KEY"]
analytics.host = os.environ["AVERT"]  # such as https://events.shop.example
analytics.gzip = True

user, anonymous = os.environ["USER_ID"], os.environ["ANONYMOUS_ID"]
analytics.identify(user, {"plan": "pro", "email": "jane@shop.example"}, anonymous_id=anonymous)
page = {"url": "https://shop.example/help?q=jane@shop.example"}
analytics.page(user, "Help", "Refunds", page, anonymous_id=anonymous)
for query in ("refund", "refund status"):
    analytics.track(user, "Products Searched", {"query": query, "results": 0}, anonymous_id=anonymous)
analytics.track(user, "Order Completed", {"order_id": "A-1", "total": 59.9}, anonymous_id=anonymous)
analytics.track(user, "Newsletter Signup", anonymous_id=anonymous)
analytics.screen(user, "Shop", "Cart", anonymous_id=anonymous)
analytics.group(user, "g-1", {"name": "Acme"}, anonymous_id=anonymous)
analytics.alias(anonymous, user)
analytics.flush()
analytics.shutdown()
