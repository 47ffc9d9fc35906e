"""Several processes' metrics on one page."""

from __future__ import annotations

from streams.telemetry import merged_pages

ONE = """# HELP a_total What.
# TYPE a_total counter
a_total{result="x y{}"} 1.0
# HELP b_bytes Which.
# TYPE b_bytes gauge
b_bytes 7.0
"""


def test_each_series_says_whose_it_is_and_each_family_stands_once():
    assert merged_pages({"0": ONE, "1": ONE.replace("1.0", "2.0")}).splitlines() == [
        "# HELP a_total What.",
        "# TYPE a_total counter",
        'a_total{number="0",result="x y{}"} 1.0',
        'a_total{number="1",result="x y{}"} 2.0',
        "# HELP b_bytes Which.",
        "# TYPE b_bytes gauge",
        'b_bytes{number="0"} 7.0',
        'b_bytes{number="1"} 7.0',
    ]


def test_a_family_that_one_process_alone_has_is_there():
    assert merged_pages({"1": "# HELP c C.\n# TYPE c gauge\nc 1\n", "0": ""}) == (
        '# HELP c C.\n# TYPE c gauge\nc{number="1"} 1\n'
    )


def test_no_page_is_an_empty_one():
    assert merged_pages({}) == ""
