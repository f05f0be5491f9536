"""Results as JUnit XML, which servers for continuous integration read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from mutspec.documents_beside import TEST_SUFFIX
from mutspec.errors import Problem
from mutspec.recipes.testing.results import CaseResult

_ELEMENTS = {"failed": "failure", "error": "error"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def junit_xml(results: Sequence[CaseResult], seconds: float, timestamp: str) -> bytes:
    """Returns the XML document.

    Arguments:
        results: the results.
        seconds: how long all tests took.
        timestamp: when they began, in ISO 8601.
    """
    counts = {
        "tests": len(results),
        "failures": sum(each.outcome == "failed" for each in results),
        "errors": sum(each.outcome == "error" for each in results),
        "skipped": 0,
    }
    attributes = {name: str(count) for name, count in counts.items()} | {"time": f"{seconds:.3f}"}
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": "mutspec", **attributes, "timestamp": timestamp, "hostname": "localhost"}
    )
    for result in results:
        suite.append(_case(result))
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(result: CaseResult) -> ElementTree.Element:
    path, name = result.case.file.path, result.case.test.name
    group = ".".join((*path.parent.parts, path.name.removesuffix(TEST_SUFFIX))).strip("./")
    attributes = {"classname": _legal(group), "name": _legal(name), "time": f"{result.seconds:.3f}"}
    case = ElementTree.Element("testcase", attributes)
    if result.outcome in _ELEMENTS:
        first = result.problems[0].message if result.problems else ""
        found = ElementTree.SubElement(case, _ELEMENTS[result.outcome], {"message": _legal(first)})
        found.text = _legal(_text(result.problems))
    return case


def _text(problems: Iterable[Problem]) -> str:
    return "\n".join(map(str, problems))


def _legal(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
