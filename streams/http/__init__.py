"""The collector and the suggestion API."""
