"""The report as one HTML page: no script, nothing to fetch, light, dark and on paper.

A page is a lead and a list of sections; each of `overview`, `rule` and `closing` gives some, and more may follow.
"""
