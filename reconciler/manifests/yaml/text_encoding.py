"""Decoding of manifests: UTF-8 without the characters that YAML forbids or that YAML readers treat
differently as line ends."""

from __future__ import annotations

import codecs
import re

from reconciler.manifests.diagnostics import START, Position
from reconciler.manifests.yaml.document_nodes import UnusableDocument

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_LINE_END = re.compile("\r\n|\r|\n")


def decode(data: bytes) -> str:
    """Return the text of a manifest file without its byte order mark. Raises `UnusableDocument`."""
    data = data.removeprefix(codecs.BOM_UTF8)
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnusableDocument(START, "not-utf8", "this file is UTF-32: save it as UTF-8")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnusableDocument(START, "not-utf8", "this file is UTF-16: save it as UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise UnusableDocument(
            _end(before),
            "not-utf8",
            f"the byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8",
        ) from error
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        raise UnusableDocument(
            _end(text[: forbidden.start()]),
            "control-character",
            f"the character U+{ord(forbidden[0]):04X} may not stand in a manifest: remove it",
        )
    return text


def lines(text: str) -> list[str]:
    """Return the lines of a text as YAML counts them."""
    return _LINE_END.split(text)


def _end(text: str) -> Position:
    before = lines(text)
    return Position(len(before), len(before[-1]) + 1)
