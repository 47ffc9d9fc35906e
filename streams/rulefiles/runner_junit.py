"""Test results as JUnit's XML, which every CI server reads: a suite a rule, a case a test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree

from streams.rulefiles.runner import TestResult

# XML 1.0 has no way to write these at all.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Iterable[TestResult]) -> bytes:
    """The whole document, UTF-8."""
    by_rule: dict[str, list[TestResult]] = {}
    for result in results:
        by_rule.setdefault(result.rule, []).append(result)
    every = [result for some in by_rule.values() for result in some]
    root = ElementTree.Element("testsuites", _counts("avert rules", every))
    for rule, some in by_rule.items():
        suite = ElementTree.SubElement(root, "testsuite", _counts(rule, some))
        for result in some:
            where = {"file": result.mark.file, "line": str(result.mark.line)}
            case = ElementTree.SubElement(suite, "testcase", {"classname": rule, "name": _xml(result.name), **where})
            if not result.passed:
                said = f"expected {result.expected}; got {result.got}"
                failure = ElementTree.SubElement(case, "failure", {"message": _xml(said)})
                failure.text = _xml(result.report())
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _counts(name: str, results: list[TestResult]) -> dict[str, str]:
    failed = sum(not result.passed for result in results)
    return {"name": _xml(name), "tests": str(len(results)), "failures": str(failed), "errors": "0"}


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
