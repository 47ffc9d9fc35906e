"""Avert: sees, while the visit is going on, who is heading for an anti-conversion, and offers better in time."""
