"""Other trackers' protocols. A dialect turns what a client sends into native events, and knows what it wants to hear.

1. A dialect is pure: request in, native fields or a refusal out. Keys, limits, dead letters and the log are the
   collector's, the same for all (`door.py`).
2. Routes go by path. What a client calls its body (Content-Type) is not believed: the bytes are looked at.
3. An id that the client made is the event's id, so that what is sent twice is recognised.
4. `ts` is corrected by the client's own word on when it sent: ``received - (sent - happened)``.
5. The visitor is the browser's anonymous id, before and after somebody logs in; who that is stands in `context.user`.
6. What is not needed is not kept: addresses, user agents, cookies, click ids, form values, personal traits.
7. Each mapping is a table; the pages in docs/dialects/ are tested against it.
"""
