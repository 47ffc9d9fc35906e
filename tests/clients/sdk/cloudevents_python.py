import os
import urllib.request

from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

url = f"{os.environ['AVERT']}/v1/cloudevents?key={os.environ['WRITE_KEY']}"
events = [
    ("search", {"query": "refund", "results": 0}),
    ("search", {"query": "refund status", "results": 0}),
    ("page_view", {"page": {"url": "https://shop.example/help", "path": "/help"}}),
    ("newsletter_signup", {"list": "deals"}),
    ("purchase", {"order": "A-1", "total": 59.9}),
]
for number, (kind, data) in enumerate(events):
    attributes = {"id": f"{os.environ['ANONYMOUS_ID']}-{number}", "source": "https://shop.example", "type": kind,
                  "specversion": "1.0", "subject": os.environ["ANONYMOUS_ID"]}
    message = (to_binary if number % 2 else to_structured)(CloudEvent(attributes, data), JSONFormat())
    request = urllib.request.Request(url, message.body, dict(message.headers), method="POST")
    urllib.request.urlopen(request).read()
