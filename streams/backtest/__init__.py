"""Rules over recorded events: what they would have seen, how early, how often rightly, and what was at stake."""
