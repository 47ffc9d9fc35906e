import os

from posthog import Posthog

posthog = Posthog(os.environ["WRITE_KEY"], host=os.environ["AVERT"], gzip=True)

user, anonymous = os.environ["USER_ID"], os.environ["ANONYMOUS_ID"]
browser = {"$device_id": anonymous}  # so that both sides speak of one visitor
posthog.capture("$identify", distinct_id=user, properties={"$anon_distinct_id": anonymous, "$set": {"plan": "pro"}})
posthog.capture("$pageview", distinct_id=user, properties={**browser, "$current_url": "https://shop.example/help"})
for query in ("refund", "refund status"):
    posthog.capture("Products Searched", distinct_id=user, properties={**browser, "query": query, "results": 0})
posthog.capture("Order Completed", distinct_id=user, properties={**browser, "order_id": "A-1", "total": 59.9})
posthog.capture("Newsletter Signup", distinct_id=user, properties=browser)
posthog.capture("$screen", distinct_id=user, properties={**browser, "$screen_name": "Cart"})
posthog.group_identify("company", "g-1", {"name": "Acme"}, distinct_id=user)
posthog.alias(previous_id=anonymous, distinct_id=user)
posthog.get_feature_flag("banner", user)
posthog.flush()
posthog.shutdown()
