"""The case: what anti-conversions cost, what came before them, and what those did who did without.

`steps` names what a visitor did, `count` counts what followed it, `judge` says what is beyond the base rate, `instead`
looks at the top findings once more, `draft` writes a rule for each; `run` reads the recording, `page` and `terminal`
show the `report`.
"""
