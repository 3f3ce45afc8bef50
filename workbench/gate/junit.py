"""A comparison as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

from workbench.gate.verdict import Verdict
from workbench.gate.words import headline, loss_text, reason_text

if TYPE_CHECKING:
    from workbench.gate.comparison import Comparison
    from workbench.gate.figure import Figure

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""All that is no Char of XML 1.0, section 2.2."""


def junit_xml(comparison: Comparison) -> str:
    """Write a test case for each figure: worse is a failure, undecided and ignored are skipped."""
    failures = comparison.counts["worse"]
    skipped = comparison.counts["undecided"] + comparison.counts["ignored"]
    totals = {
        "tests": str(len(comparison.figures)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
        "time": "0",
    }
    root = ET.Element("testsuites", {"name": "workbench compare", **totals})
    suite = ET.SubElement(root, "testsuite", {"name": _legal(comparison.candidate.label), **totals})
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("verdict", headline(comparison)),
        ("baseline", comparison.baseline.label),
        *((f"remark {number}", text) for number, text in enumerate(comparison.remarks, 1)),
    ):
        ET.SubElement(properties, "property", {"name": name, "value": _legal(value)})
    for figure in comparison.figures:
        _case(suite, figure)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, figure: Figure) -> None:
    group = f"{figure.recording}, {figure.settings}" if figure.recording else figure.kind
    # A dot would be taken for the end of a package's name.
    attributes = {"classname": _legal(group).replace(".", "_"), "name": figure.metric, "time": "0"}
    case = ET.SubElement(suite, "testcase", attributes)
    told = _legal(loss_text(figure))
    if figure.verdict is Verdict.WORSE:
        failure = {"message": told, "type": figure.verdict.value}
        ET.SubElement(case, "failure", failure).text = _legal(reason_text(figure)) or told
    elif figure.verdict in {Verdict.UNDECIDED, Verdict.IGNORED}:
        message = f"{figure.verdict.value}: {reason_text(figure)}"
        ET.SubElement(case, "skipped", {"message": _legal(message)})


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)
