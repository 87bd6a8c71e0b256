"""Addresses in a header's value (RFC 5322, section 3.4, and 6531): read tolerantly, never repaired.

Groups, source routes, comments, display names and quoted local parts are understood. What is not an
address as it stands is given up as a whole, so that no domain comes out that the message does not
hold: a blank or a control character inside, two unquoted @, `>` in a quoted local part, anything
over-long. RFC 2047 words are never decoded: an address cannot hold any.
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
"""The longest local part and domain, in octets; RFC 5321, section 4.5.3.1, allows 64 and 255."""

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
    """`local` is unquoted and in NFC; `domain` as it stands in the message."""

    local: str
    domain: str

    def __str__(self) -> str:
        """As it is shown and delivered to: the domain as U-label, the local part quoted where it
        must be."""
        return f"{quoted(self.local)}@{u_label(self.domain)}"


def parse(text: str) -> Address | None:
    """One address as a manifest declares it, `local@domain`; None if there is no @."""
    local, at, domain = text.rpartition("@")
    return Address(unicodedata.normalize("NFC", local), domain) if at else None


def comparable(local: str) -> str:
    """Equal for local parts that are the same mailbox: NFC, without regard to case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())


@lru_cache(4096)
def a_label(domain: str) -> str:
    """The domain for comparing and for the wire: A-labels (RFC 5891, UTS 46) in lower case; one
    that cannot be such comes back as it is, and equals only itself."""
    domain = domain.removesuffix(".").lower()
    try:
        return a_labels(domain)
    except ValueError:
        return domain


@lru_cache(4096)
def u_label(domain: str) -> str:
    """The domain for showing: U-labels in lower case, as far as it can be told."""
    ascii_form = a_label(domain)
    try:
        return idna.decode(ascii_form) if "xn--" in ascii_form else ascii_form
    except UnicodeError:
        return ascii_form


def quoted(local: str) -> str:
    """A local part as it stands before an @ (RFC 5321, section 4.1.2)."""
    if _ATOM.fullmatch(local):
        return local
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def addresses(value: str) -> Iterator[Address | str]:
    """The addresses of an address list, in order; a text that contains an @ and is none comes as a
    `str`."""
    return _list(_tokens(value))


def for_clause(value: str) -> Iterator[Address | str]:
    """The addresses after `for` in the value of a Received field (RFC 5321, section 4.4)."""
    if "for" not in value.lower():
        return iter(())  # most have none, and there can be thousands of them
    tokens = list(_tokens(value))
    words = [text.lower() if kind == "word" else "" for kind, text in tokens]
    by = (
        words.index("by") if "by" in words else 0
    )  # before it stands what the client said of itself
    start = words.index("for", by) + 1 if "for" in words[by:] else len(tokens)
    return _list(_clause(tokens[start:]))


def _clause(tokens: list[_Token]) -> Iterator[_Token]:
    """As far as this clause of a Received field goes: to a semicolon, or the next clause's name."""
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
            phrase = [_CLOSE]  # what follows before the next comma cannot be an address
        elif token in (_COMMA, _SEMICOLON):
            yield from _bare(phrase)
            phrase = []
        elif token == _COLON:
            phrase = []  # a group's name, or a source route without its angle brackets
        else:
            phrase.append(token)
    yield from _bare(phrase)


def _tokens(value: str) -> Iterator[_Token]:
    """Lexical tokens; a comment (RFC 5322, section 3.2.2) comes as space. One that is never closed
    is text."""
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
    """What stands between angle brackets: at most one address, perhaps after a source route
    `@a,@b:`."""
    inner = _stripped(tokens)
    if inner and inner[0] == _AT and _COLON in inner:
        inner = _stripped(inner[inner.index(_COLON) + 1 :])
    if _AT in inner:
        yield _addr_spec(inner) or _text(inner)


def _bare(tokens: list[_Token]) -> Iterator[Address | str]:
    """Addresses without angle brackets: one, or several with nothing but white space between."""
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
    """RFC 5322, section 3.4.1: local part, @, domain; white space and comments only around the
    @."""
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
    """Something to show of what is no address: printable, and not long."""
    text = "".join(f'"{text}"' if kind == "quoted" else text for kind, text in tokens)[:80]
    return escape_unprintable(text)
