"""A real broker and a real cache on this machine, supervised; the demo that runs on them."""
