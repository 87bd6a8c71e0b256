"""Read addresses in the value of a header field (RFC 5322, section 3.4; RFC 6531).

Groups, source routes, comments, display names and quoted local parts are understood. Addresses are
never repaired, so the result has no domain that the message does not have. A text is no address if
it contains a blank, a control character or two unquoted @. The same holds for `>` in a quoted local
part, and for more octets than `LOCAL` or `DOMAIN`. RFC 2047 words are not decoded: addresses have
none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile

import idna
from msgspec import Struct

from reconciler.model.domains import a_labels
from reconciler.model.harmless_text import escape_unprintable

LOCAL = 256
DOMAIN = 255
"""Octets of the longest local part and domain; RFC 5321, section 4.5.3.1, allows 64 and 255."""

_ATOM = re.compile(r"[^\s()<>\[\]:;@\\,\".]+(?:\.[^\s()<>\[\]:;@\\,\".]+)*")
_BANNED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_JOINERS = "\u200c\u200d"  # of category Cf, but part of words in Persian and Indic scripts
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t]+)
  | "(?P<quoted>(?:[^"\\]|\\.)*)"
  | (?P<literal>\[[^\[\]\s]*\])
  | (?P<special>[()<>:;@,])
  | (?P<word>(?:[^ \t()<>:;@,"\[\\]|\\.)+|["\[\\])
""",
    re.VERBOSE | re.DOTALL,
)
_IN_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)
_Token = tuple[str, str]
_COMMA, _SEMICOLON, _COLON, _AT, _OPEN, _CLOSE = (("special", each) for each in ",;:@<>")


class Address(Struct, frozen=True):
    """A mail address."""

    local: str
    """The local part, unquoted and in NFC."""
    domain: str
    """The domain as the message has it."""

    def __str__(self) -> str:
        """Return the address for people and for delivery.

        The domain has U-labels, and the local part is quoted where it must be.
        """
        return f"{quoted(self.local)}@{u_label(self.domain)}"


def parse(text: str) -> Address | None:
    """Return the address of a manifest, `local@domain`; None without @."""
    local, at, domain = text.rpartition("@")
    return Address(unicodedata.normalize("NFC", local), domain) if at else None


def comparison_form(local: str) -> str:
    """Return a form that is equal for local parts of the same mailbox: NFC with case folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())


@lru_cache(4096)
def a_label(domain: str) -> str:
    """Return the domain with A-labels (RFC 5891, UTS 46) in lower case, for comparing and sending.

    A domain without such a form is returned in lower case only.
    """
    domain = domain.removesuffix(".").lower()
    try:
        return a_labels(domain)
    except ValueError:
        return domain


@lru_cache(4096)
def u_label(domain: str) -> str:
    """Return the domain with U-labels in lower case, for people; A-labels stay where invalid."""
    ascii_form = a_label(domain)
    try:
        return idna.decode(ascii_form) if "xn--" in ascii_form else ascii_form
    except UnicodeError:
        return ascii_form


def quoted(local: str) -> str:
    """Return the local part as it is written before an @ (RFC 5321, section 4.1.2)."""
    if _ATOM.fullmatch(local):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def addresses(value: str) -> Iterator[Address | str]:
    """Yield the addresses of an address list, in order.

    A text with an @ that is no address is yielded as `str`.
    """
    return _list(_tokens(value))


def for_clause(value: str) -> Iterator[Address | str]:
    """Yield the addresses after `for` in the value of a Received field (RFC 5321, section 4.4)."""
    if "for" not in value.lower():
        return iter(())  # saves time, as most fields have none and a message may have thousands
    tokens = list(_tokens(value))
    words = [text.lower() if kind == "word" else "" for kind, text in tokens]
    # The words before `by` come from the client: a "for" among them is not the clause.
    by = words.index("by") if "by" in words else 0
    start = words.index("for", by) + 1 if "for" in words[by:] else len(tokens)
    return _list(_clause(tokens[start:]))


def _clause(tokens: list[_Token]) -> Iterator[_Token]:
    """Yield the tokens up to a semicolon or to the name of the next clause."""
    last, spaced = _COMMA, True
    for token in tokens:
        if token == _SEMICOLON or (
            spaced and token[0] == "word" and last not in (_COMMA, _OPEN, _AT)
        ):
            return
        yield token
        spaced = token[0] == "space"
        last = last if spaced else token


def _list(tokens: Iterator[_Token]) -> Iterator[Address | str]:
    phrase: list[_Token] = []
    for token in tokens:
        if token == _OPEN:
            yield from _angle(list(takewhile(lambda each: each != _CLOSE, tokens)))
            phrase = [_CLOSE]  # no address follows before the next comma
        elif token in (_COMMA, _SEMICOLON):
            yield from _bare(phrase)
            phrase = []
        elif token == _COLON:
            phrase = []  # a group's name, or a source route without its angle brackets
        else:
            phrase.append(token)
    yield from _bare(phrase)


def _tokens(value: str) -> Iterator[_Token]:
    """Yield the lexical tokens; a comment (RFC 5322, section 3.2.2) becomes a space.

    A comment without an end is text.
    """
    at, closing = 0, value.rfind(")")
    while match := _TOKEN.match(value, at):
        kind, text, at = match.lastgroup or "", match[match.lastgroup or 0], match.end()
        if text == "(" and kind == "special" and at <= closing:
            end = _comment_end(value, at)
            if end is None:
                closing = -1
            kind, text, at = "space", " ", end or at
        elif kind == "special" and text in "()":
            kind = "word"
        yield kind, text


def _comment_end(value: str, at: int) -> int | None:
    depth = 1
    for match in _IN_COMMENT.finditer(value, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return None


def _angle(tokens: list[_Token]) -> Iterator[Address | str]:
    """Yield the address between angle brackets, which may follow a source route `@a,@b:`."""
    inner = _stripped(tokens)
    if inner and inner[0] == _AT and _COLON in inner:
        inner = _stripped(inner[inner.index(_COLON) + 1 :])
    if _AT in inner:
        yield _addr_spec(inner) or _text(inner)


def _bare(tokens: list[_Token]) -> Iterator[Address | str]:
    """Yield addresses without angle brackets: one, or several with only white space between."""
    if _AT not in tokens:
        return
    whole = _addr_spec(_stripped(tokens))
    if whole:
        yield whole
        return
    parts = list(_split(tokens))
    found = [_addr_spec(part) for part in parts]
    if all(found):
        yield from (address for address in found if address)
    else:
        yield _text(_stripped(tokens))


def _split(tokens: list[_Token]) -> Iterator[list[_Token]]:
    part: list[_Token] = []
    for token in [*tokens, ("space", " ")]:
        if token[0] != "space":
            part.append(token)
        elif part:
            yield part
            part = []


def _addr_spec(tokens: list[_Token]) -> Address | None:
    """Return the address of these tokens (RFC 5322, section 3.4.1); None where they are none.

    White space and comments are allowed only around the @.
    """
    if tokens.count(_AT) != 1:
        return None
    at = tokens.index(_AT)
    local, domain = _stripped(tokens[:at]), _stripped(tokens[at + 1 :])
    if not local or len(domain) != 1 or domain[0][0] not in ("word", "literal"):
        return None
    if any(kind not in ("word", "quoted") for kind, _ in local):
        return None
    text = "".join(
        re.sub(r"\\(.)", r"\1", text) if kind == "quoted" else text for kind, text in local
    )
    plain = "".join(text for kind, text in local if kind == "word")
    if '"' in plain or "\\" in plain or not _sane(text, LOCAL) or not _sane(domain[0][1], DOMAIN):
        return None
    if " " in domain[0][1] or set('"\\()') & set(domain[0][1]):
        return None
    return Address(unicodedata.normalize("NFC", text), domain[0][1])


def _sane(text: str, longest: int) -> bool:
    if not text or len(text) > longest or "<" in text or ">" in text:
        return False
    if text.isascii():
        return text.replace(" ", "_").isprintable()
    if any(
        unicodedata.category(each) in _BANNED and each not in _JOINERS and each != " "
        for each in text
    ):
        return False
    return len(text.encode()) <= longest


def _stripped(tokens: list[_Token]) -> list[_Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start][0] == "space":
        start += 1
    while end > start and tokens[end - 1][0] == "space":
        end -= 1
    return tokens[start:end]


def _text(tokens: list[_Token]) -> str:
    """Return up to 80 characters of a text that is no address, in a printable form."""
    text = "".join(f'"{text}"' if kind == "quoted" else text for kind, text in tokens)[:80]
    return escape_unprintable(text)
