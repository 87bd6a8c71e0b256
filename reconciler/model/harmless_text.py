"""Make texts of strangers harmless before they are shown or logged (hazard M14).

Servers, messages and manifests may contain control characters, and characters that reorder or hide
text. Floors above use one of these functions and decide nothing themselves.
"""

from __future__ import annotations

import json
import re
from typing import Any

# In addition to C0: DEL, C1, bidirectional controls, invisible characters, line separators and lone
# surrogates.
_HIDDEN = (
    "\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[\x00-\x1f{_HIDDEN}]")
_UNSAFE_IN_JSON = re.compile(f"[{_HIDDEN}]")
"""The characters that JSON and YAML do not escape by themselves."""


def escape(text: str) -> str:
    """Return `text` with control characters, and those that reorder or hide text, as `\\u` escapes.

    Everything else stays, in every script. The result is one line.
    """
    return _UNSAFE.sub(_escaped, text)


def is_unsafe(text: str) -> bool:
    """Return whether `escape` would change the text."""
    return _UNSAFE.search(text) is not None


def escape_unprintable(text: str) -> str:
    """Return `text` with everything unprintable as escapes.

    Stricter than `escape`: special spaces (such as U+00A0) and unassigned characters are escaped
    too, so that a typing error is visible.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def one_line(text: str, instead: str = " ") -> str:
    """Return `text` with each unprintable character replaced by `instead`, stripped."""
    return "".join(each if each.isprintable() else instead for each in text).strip()


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Return JSON in every script, with the characters that `escape` means as `\\u` escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return _UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def escape_in_yaml(text: str) -> str:
    """Return the text of a YAML document in which unsafe strings are quoted, with escapes in
    them."""
    return _UNSAFE_IN_JSON.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
