import os
import time
from urllib.parse import urlsplit

from snowplow_tracker import (
    Emitter,
    PageView,
    ScreenView,
    SelfDescribing,
    SelfDescribingJson,
    StructuredEvent,
    Subject,
    Tracker,
)

avert = urlsplit(os.environ["AVERT"])
method = os.environ.get("METHOD", "post")  # or get: a request an event
sent = []
emitter = Emitter(
    avert.hostname, protocol=avert.scheme, port=avert.port, method=method, batch_size=4, on_success=sent.extend
)
subject = Subject().set_user_id(os.environ["USER_ID"]).set_domain_user_id(os.environ["ANONYMOUS_ID"])
tracker = Tracker(namespace="sp1", emitters=emitter, app_id="shop", subject=subject, encode_base64=method == "get")

tracker.track(PageView("https://shop.example/help", page_title="Help"))
for query in ("refund", "refund status"):
    site_search = "iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0"
    tracker.track(SelfDescribing(SelfDescribingJson(site_search, {"terms": [query], "totalResults": 0})))
tracker.track(StructuredEvent(category="checkout", action="coupon_denied", label="SPRING", value=1.0))
tracker.track(SelfDescribing(SelfDescribingJson("iglu:com.acme/newsletter_signup/jsonschema/1-0-0", {"list": "deals"})))
tracker.track(ScreenView(id_="8a1f0d7e-0000-4000-8000-000000000001", name="Cart"))
tracker.flush()
while len(sent) < 6:  # it tries again in a thread that does not outlive the process
    time.sleep(0.1)
