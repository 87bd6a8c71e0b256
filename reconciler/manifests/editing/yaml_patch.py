"""Changing a field of a document in its text, so that everything around it stays byte for byte.

Aliases and block scalars may prevent that. Then ruamel.yaml's round trip writes this document anew.
It keeps comments, order and quoting, but not every space.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from copy import copy, deepcopy
from typing import Any

from msgspec import Struct
from ruamel.yaml import YAML

# from a compiled module without types
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import BaseResolver

from reconciler.manifests.yaml import document_reader
from reconciler.manifests.yaml.document_nodes import UnusableDocument
from reconciler.manifests.yaml.plain_scalars import AmbiguousNumber, resolve

Keys = tuple[str, ...]
"""The path of a field from the document's root."""


class Unpatchable(Exception):
    """The field cannot be written there. The message gives the reason."""


class _Missing:
    """The type of `MISSING`, which removes a field."""


MISSING = _Missing()
MOST_PATCHED = 50
"""Fields that are changed one by one at most, because each takes milliseconds."""
MOST_REWRITTEN = 50_000
"""Lines of a document that is written anew at most. Only comments and empty lines make it longer
than the values that a file may hold, and the round trip needs minutes for very many of them."""
_WORDS = frozenset({"yes", "no", "on", "off", "y", "n", "~", "null", "true", "false"})
"""Plain scalars that some YAML readers do not treat as text."""
_COMMENTS = re.compile(r"(?:\s*#.*\n)*(?:\s*#.*)?")


class Setting(Struct, frozen=True):
    """A field and its new value. `MISSING` removes the field."""

    keys: Keys
    value: Any


def typed_yaml(text: str) -> Any:
    """Return the value that a person typed.

    Lists, mappings and quoted texts are YAML. Anything else is a number, true, false, null or a
    text. Raises Unpatchable.
    """
    if text[:1] in {"[", "{", '"', "'"}:
        found, unusable = document_reader.read(text.encode())
        if unusable or len(found) != 1 or found[0].findings:
            raise Unpatchable(
                f"the value is not YAML: {unusable.message if unusable else 'write one value'}"
            )
        return found[0].root.value
    try:
        return resolve(text)
    except AmbiguousNumber:
        return text


def apply_settings(text: str, settings: Sequence[Setting]) -> str:
    """Return a document's text with these fields changed. Raises Unpatchable and
    UnusableDocument."""
    if len(settings) > MOST_PATCHED:
        return _written_anew(text, settings)
    for setting in settings:
        text = _changed(text, setting)
    return text


def _changed(text: str, setting: Setting) -> str:
    before = _data(text)
    meant = deepcopy(before)
    _apply(meant, setting)
    if meant == before:
        return text
    try:
        patched = _patched(text, setting)
        if _data(patched) == meant:
            return patched
    except (Unpatchable, UnusableDocument, YAMLError):
        pass
    return _written_anew(text, [setting])


def _written_anew(text: str, settings: Sequence[Setting]) -> str:
    if text.count("\n") > MOST_REWRITTEN:
        raise Unpatchable(
            f"it has more than {MOST_REWRITTEN:,} lines: shorten it, or change it by hand"
        )
    try:
        return _rewritten(text, settings)
    except (YAMLError, ValueError) as error:
        # such as an alias without an anchor, or a day 32; `validate` says more
        raise Unpatchable("the manifest cannot be changed as it stands: fix it by hand") from error


def _data(text: str) -> Any:
    found, unusable = document_reader.read(text.encode())
    if unusable:
        raise unusable
    return found[0].root.value if found else {}


def _apply(data: Any, setting: Setting) -> None:
    """Apply a setting to the document's data, as the expected result."""
    *above, last = setting.keys
    for key in above:
        if data.get(key) is None:
            if setting.value is MISSING:
                return
            data[key] = {}
        elif not isinstance(data[key], dict):
            raise Unpatchable(f"{'.'.join(setting.keys)} cannot be set: {key} is no mapping")
        data[key] = data = copy(data[key])  # not in place: an alias shares it
    if setting.value is MISSING:
        data.pop(last, None)
    else:
        data[last] = setting.value


# -- patching


class _Composer(CParser, BaseResolver):  # type: ignore[misc]  # a compiled class without types
    """libyaml's composer. That of the round trip joins comments one by one, which takes minutes
    for a file full of them."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text.encode())
        BaseResolver.__init__(self, loadumper=self)


def _patched(text: str, setting: Setting) -> str:
    node: Node = _Composer(text).get_single_node()
    for depth, key in enumerate(setting.keys):
        if not isinstance(node, MappingNode):
            raise Unpatchable(key)
        entry = next(((name, value) for name, value in node.value if name.value == key), None)
        last = depth == len(setting.keys) - 1
        if entry is None:
            value = setting.value
            for below in reversed(setting.keys[depth + 1 :]):
                value = {below: value}
            return _inserted(text, node, key, value)
        if last and setting.value is MISSING:
            return _removed(text, node, entry)
        if last:
            return _replaced(text, entry, setting.value)
        node = entry[1]
    raise Unpatchable("nothing to change")


def _replaced(text: str, entry: tuple[Node, Node], value: Any) -> str:
    name, old = entry
    end = _end(text, old)
    if (
        isinstance(old, ScalarNode)
        and old.style in {None, "'", '"', ""}
        and old.end_mark.index > old.start_mark.index
    ):
        return text[: old.start_mark.index] + yaml_value(value, old.style or None) + text[end:]
    colon = text.index(":", name.end_mark.index) + 1
    if isinstance(old, ScalarNode) and not old.style and not old.value:
        end = colon  # the value is empty, and the end mark is behind comments
    return text[:colon] + " " + yaml_value(value) + text[max(end, colon) :]


def _inserted(text: str, node: MappingNode, key: str, value: Any) -> str:
    line = f"{yaml_value(key)}: {yaml_value(value)}"
    end = _end(text, node.value[-1][1]) if node.value else node.start_mark.index + 1
    if node.flow_style:
        return text[:end] + (", " if node.value else "") + line + text[end:]
    if not node.value:
        raise Unpatchable(key)
    indent = " " * int(node.value[0][0].start_mark.column)
    at = _line_end(text, end)
    newline = "\r\n" if "\r\n" in text else "\n"
    before = text[:at] if text[:at].endswith("\n") else text[:at] + newline
    return before + indent + line + newline + text[at:]


def _removed(text: str, node: MappingNode, entry: tuple[Node, Node]) -> str:
    name, value = entry
    if len(node.value) == 1:
        raise Unpatchable("the last one of its mapping")
    start, end = (
        name.start_mark.index,
        max(_end(text, value), text.index(":", name.end_mark.index) + 1),
    )
    if not node.flow_style:
        return text[: text.rfind("\n", 0, start) + 1] + text[_line_end(text, end) :]
    after = re.compile(r"\s*,\s*").match(text, end)
    if after:
        return text[:start] + text[after.end() :]
    return text[:start].rstrip().removesuffix(",") + text[end:]


def _end(text: str, node: Node) -> int:
    """Return the index after a value's last character. The parser's end mark of a block collection
    is after the text that follows it."""
    end = int(node.end_mark.index)
    if isinstance(node, ScalarNode) and node.style in {"|", ">"}:
        return len(text[:end].rstrip())
    if isinstance(node, ScalarNode) and end == node.start_mark.index:
        comments = _COMMENTS.match(text, end)  # an empty value has them
        return end + len(comments[0].rstrip()) if comments else end
    if not isinstance(node, CollectionNode) or node.flow_style or not node.value:
        return end
    last = node.value[-1] if isinstance(node, SequenceNode) else node.value[-1][1]
    return _end(text, last)


def _line_end(text: str, index: int) -> int:
    """Return the index after the next line end."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


# -- writing


def yaml_value(value: Any, style: str | None = None) -> str:
    """Return a value as YAML in one line. Texts are quoted in the given `style`, if any."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _InLine
    yaml.default_flow_style, yaml.width, yaml.allow_unicode = True, 1 << 20, True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.representer.quotes = style
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue().removesuffix("...\n").strip("\n")


class _InLine(SafeRepresenter):
    """A representer that quotes texts in the given style, or as necessary."""

    quotes: str | None = None

    def represent_str(self, data: str) -> Any:
        style = self.quotes or ('"' if _needs_quotes(data) else None)
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_InLine.add_representer(str, _InLine.represent_str)


def _needs_quotes(text: str) -> bool:
    """Return whether some YAML reader would not read a plain text back as this text."""
    found, unusable = document_reader.read(f"a: {{b: {text}, c: 1}}\nd: {text}\n".encode())
    reads_back = not unusable and [one.root.value for one in found] == [
        {"a": {"b": text, "c": 1}, "d": text}
    ]
    return text.lower() in _WORDS or not reads_back or bool(found[0].findings)


def _rewritten(text: str, settings: Sequence[Setting]) -> str:
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes, yaml.width, yaml.explicit_start = True, 1 << 20, text.startswith("---")
    data = yaml.load(text)
    for setting in settings:
        _apply(data, setting)
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
