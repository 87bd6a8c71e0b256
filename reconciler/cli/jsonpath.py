"""The JSONPath of kubectl: `{.items[*].metadata.name}`, with text around it, `{range …}{end}` and
filters.

Its documentation is "JSONPath Support" in Kubernetes' reference. People use its extensions: text
around expressions, ranges, several results in one line. No JSONPath library has these.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

_STEP = re.compile(
    r"\.\.(?P<below>[\w-]+)|\.\*|\.(?P<field>[\w-]+)"
    r"|\[\s*(?:(?P<all>\*)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|\?\((?P<filter>[^()]*)\)"
    r"|(?P<index>-?[0-9]{1,18})|(?P<from>(?:-?[0-9]{1,18})?):(?P<to>(?:-?[0-9]{1,18})?))\s*\]"
)
_FILTER = re.compile(
    r"\s*@(?P<path>[^\s=!<>]*)\s*(?:(?P<compared>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*"
)
_PIECE = re.compile(r"\{(?P<expression>(?:[^{}'\"]|'[^']*'|\"[^\"]*\")*)\}")
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\", r"\"": '"', r"\'": "'"}

Step = Callable[[Any], Iterator[Any]]
"""Returns the values one step below a value."""


class BadTemplate(ValueError):
    """A template is wrong; the message says where."""


class Path(Struct, frozen=True):
    """A path from a root to values."""

    steps: tuple[Step, ...]

    def of(self, root: Any) -> list[Any]:
        """Return all values at this path; it is no error if there are none."""
        found = [root]
        for step in self.steps:
            found = [inner for value in found for inner in step(value)]
        return found


class Range(Struct, frozen=True):
    """Repeats `body` for each value at `path`, with that value as the root."""

    path: Path
    body: tuple[Piece, ...]


Piece = str | Path | Range


def parse_path(text: str) -> Path:
    """Read `.status.totals.collected`, with or without braces and `$`. Raises BadTemplate."""
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    inner = inner.removeprefix("$").removeprefix("@")
    if inner and inner[0] not in ".[":
        inner = f".{inner}"
    steps: list[Step] = []
    at = 0
    while at < len(inner.removesuffix(".") if inner == "." else inner):
        match = _STEP.match(inner, at)
        if match is None:
            raise BadTemplate(
                f"{text!r} is no path at {inner[at:]!r}: write it like .metadata.name or "
                ".items[*].spec"
            )
        steps.append(_step(match))
        at = match.end()
    return Path(tuple(steps))


def parse_template(text: str) -> tuple[Piece, ...]:
    """Read a whole template; one without braces is a path. Raises BadTemplate."""
    if "{" not in text:
        return (parse_path(text),)
    body, rest = _body(text, nested=False)
    assert not rest  # noqa: S101  # only a nested body leaves some
    return body


def render(pieces: Iterable[Piece], root: Any) -> str:
    """Return the text that a template makes of `root`."""
    return "".join(_filled(piece, root) for piece in pieces)


def value_text(value: Any) -> str:
    """Return text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _filled(piece: Piece, root: Any) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Range):
        return "".join(render(piece.body, value) for value in piece.path.of(root))
    return " ".join(map(value_text, piece.of(root)))


def _body(text: str, *, nested: bool) -> tuple[tuple[Piece, ...], str]:
    """Return the pieces up to the end or, within a range, to its `{end}`; and the text after
    that."""
    pieces: list[Piece] = []
    while match := _PIECE.search(text):
        if before := text[: match.start()]:
            pieces.append(_literal(before))
        text = text[match.end() :]
        expression = match["expression"].strip()
        if expression == "end":
            if not nested:
                raise BadTemplate("{end} without {range …} before it")
            return tuple(pieces), text
        if expression.startswith("range ") or expression == "range":
            body, text = _body(text, nested=True)
            pieces.append(Range(parse_path(expression.removeprefix("range")), body))
        elif expression[:1] in {'"', "'"}:
            pieces.append(
                re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), expression[1:-1])
            )
        else:
            pieces.append(parse_path(expression))
    if nested:
        raise BadTemplate("{range …} without {end} behind it")
    if text:
        pieces.append(_literal(text))
    return tuple(pieces), ""


def _literal(text: str) -> str:
    if "{" in text or "}" in text:
        raise BadTemplate(f"{text!r} has a brace that is not closed")
    return text


def _step(match: re.Match[str]) -> Step:
    if name := match["field"] or match["single"] or match["double"]:
        return lambda value: iter(
            [value[name]] if isinstance(value, dict) and name in value else []
        )
    if match["below"]:
        return lambda value: _below(value, match["below"])
    if match["index"]:
        return lambda value: iter(_at(value, int(match["index"])))
    if match["filter"] is not None:
        return _filter(match["filter"])
    if match["from"] is not None:
        first, last = (int(match[end]) if match[end] else None for end in ("from", "to"))
        return lambda value: iter(value[first:last] if isinstance(value, list) else [])
    return _every


def _every(value: Any) -> Iterator[Any]:
    return iter(
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )


def _at(value: Any, index: int) -> Sequence[Any]:
    return value[index : index + 1 or None] if isinstance(value, list) else []


def _below(value: Any, name: str) -> Iterator[Any]:
    """Yield the values of the field of this name, at any depth."""
    if isinstance(value, dict) and name in value:
        yield value[name]
    for inner in _every(value):
        yield from _below(inner, name)


def _filter(text: str) -> Step:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise BadTemplate(f'{text!r} is no filter: write it like ?(@.metadata.name=="sales")')
    inner = parse_path(match["path"] or ".")
    compared, wanted = (
        _COMPARED.get(match["compared"] or ""),
        _value(match["value"]) if match["value"] else None,
    )
    return lambda value: (one for one in _every(value) if _holds(inner.of(one), compared, wanted))


def _holds(found: Sequence[Any], compared: Callable[[Any, Any], bool] | None, wanted: Any) -> bool:
    if compared is None or not found:
        return bool(found)
    try:
        return any(compared(value, wanted) for value in found)
    except TypeError:  # 1 < "a"
        return False


def _value(text: str) -> Any:
    if text[:1] in {'"', "'"}:
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text
