"""Diagnostics as a JUnit report, which nearly every CI system shows. Each file is a test case."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree import ElementTree as ET

from reconciler.manifests.diagnostics import Diagnostic
from reconciler.manifests.validation import Validation
from reconciler.model.harmless_text import escape_unprintable

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def report(validation: Validation) -> str:
    """Return a report with a test case for each file. Errors are failures; warnings and notes are
    the test case's output."""
    found: dict[str, list[Diagnostic]] = defaultdict(list)
    for diagnostic in validation:
        found[diagnostic.file].append(diagnostic)
    files = list(dict.fromkeys([*validation.files, *found]))
    failed = sum(any(one.is_error for one in of_file) for of_file in found.values())
    counts = {
        "name": "mailcollector validate",
        "tests": str(len(files)),
        "failures": str(failed),
        "errors": "0",
    }
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", counts)
    for file in files:
        _case(suite, file, found[file])
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _case(suite: ET.Element, file: str, found: list[Diagnostic]) -> None:
    name = _text(file)
    case = ET.SubElement(
        suite, "testcase", {"name": name, "classname": "mailcollector.validate", "file": name}
    )
    errors = [one for one in found if one.is_error]
    if errors:
        message = f"{len(errors)} errors" if len(errors) > 1 else _text(errors[0].message)
        failure = ET.SubElement(case, "failure", {"message": message, "type": errors[0].rule})
        failure.text = "\n".join(map(_line, errors))
    others = [one for one in found if not one.is_error]
    if others:
        ET.SubElement(case, "system-out").text = "\n".join(map(_line, others))


def _line(found: Diagnostic) -> str:
    return _text(
        f"{found.file}:{found.line}:{found.column}: {found.severity}: {found.message} "
        f"[{found.rule}]"
    )


def _text(text: str) -> str:
    """Return text without characters that XML forbids (XML 1.0, section 2.2) or that control
    terminals."""
    return _NO_XML.sub("\ufffd", escape_unprintable(text))
