"""The meaning of a POP3 or IMAP reply that refuses something.

The response code is read first (RFC 5530, RFC 2449, RFC 3206), then the words. The sentences of
`sourced_replies` come before the general rules of `vocabulary`.
"""

from __future__ import annotations

import codecs
import functools
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from reconciler.model.refusal_meaning import Meaning

if TYPE_CHECKING:
    from reconciler.replies.sourced_replies import SourcedReply
    from reconciler.replies.vocabulary import Rule

_LONGEST = 1000
"""Characters that are read; the meaning of a reply is at its beginning."""
_ENCODINGS = (
    "gb18030",
    "cp1251",
    "koi8-r",
    "euc-jp",
    "shift_jis",
    "cp949",
    "big5",
    "latin-1",
    "cp1250",
)
"""Encodings of servers without UTF-8. The first one that gives known words is taken."""
_CODES = {
    "LIMIT": Meaning.THROTTLED,
    "LOGIN-DELAY": Meaning.THROTTLED,
    "INUSE": Meaning.IN_USE,
    "IN-USE": Meaning.IN_USE,
    "OVERQUOTA": Meaning.OVER_QUOTA,
    "EXPIRED": Meaning.PASSWORD_EXPIRED,
    "PRIVACYREQUIRED": Meaning.TLS_WANTED,
    "WEBALERT": Meaning.WEB_LOGIN,
    "THROTTLED": Meaning.THROTTLED,
}
"""Response codes with one meaning, whatever the words are."""
_PASSING = {
    "UNAVAILABLE": Meaning.TEMPORARY,
    "SYS/TEMP": Meaning.TEMPORARY,
    "SERVERBUG": Meaning.TEMPORARY,
}
"""Codes of trouble inside the server. Words that ask for fewer requests come before them."""
_GENERAL = {
    "AUTHENTICATIONFAILED": Meaning.WRONG_PASSWORD,
    "AUTH": Meaning.WRONG_PASSWORD,
    "AUTHORIZATIONFAILED": Meaning.WRONG_PASSWORD,
    "CONTACTADMIN": Meaning.CONTACT_ADMIN,
    "SYS/PERM": Meaning.NO_MAILBOX,
}
"""Codes of a general kind. More specific words come before them."""
_OF_WHAT_WAS_ASKED = {
    "ALREADYEXISTS",
    "BADCHARSET",
    "BADURL",
    "CANNOT",
    "CLIENTBUG",
    "HASCHILDREN",
    "NONEXISTENT",
    "PARSE",
    "TOOBIG",
    "TRYCREATE",
    "UNKNOWN-CTE",
}
"""Codes that blame the command. The text after them is mostly a name, so it is not read."""
_ASKING_FOR_LESS = {Meaning.THROTTLED, Meaning.CONNECTIONS, Meaning.BANDWIDTH, Meaning.IN_USE}
_GENERAL_WORDS = {Meaning.WRONG_PASSWORD, Meaning.TEMPORARY, Meaning.LATER}
"""Meanings of a general kind. A code, or more specific words, come before them."""
_OF_CREDENTIALS = (
    "password",
    "credential",
    "authenticat",
    "log in",
    "login",
    "пароль",
    "логин",
    "密码",
    "passwor",
    "kennwort",
    "mot de passe",
    "contraseña",
    "hasł",
    "パスワード",
)
"""Words of a login. "Try again later" beside them may be a refused password."""
_ADDRESS = (
    "your ip",
    "this ip",
    "your address",
    "this address",
    "client address",
    "your host",
    "this host",
    "ip address",
    "ip-address",
    "ip-adresse",
    "from ip",
    "per ip",
    "same ip",
    "adresse ip",
    "dirección ip",
    "endereço ip",
    "indirizzo ip",
    "ip-адрес",
    "вашего адреса",
    "этого адреса",
    "您的ip",
    "ip地址",
    "ipアドレス",
)
_ACCOUNT = (
    "user",
    "account",
    "mailbox",
    "аккаунт",
    "учетн",
    "ящик",
    "compte",
    "konto",
    "cuenta",
    "账号",
    "帐号",
)
"""Words of an account. A limit for each account and address names both."""
_QUOTES = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "\u00ad": None, "\u200b": None, "\u00a0": " "}
)


class Understanding(Struct, frozen=True):
    """The meaning of a refusal."""

    meaning: Meaning
    wait: float | None = None
    """Seconds that the server asks to wait."""
    provider: str = ""
    """The only provider with these words; "" where many servers have them."""
    source: str = ""
    """The page that shows the words; "" where the code alone decided."""


def understand(text: str, code: str = "", now: datetime | None = None) -> Understanding | None:
    """Return the meaning of a refusal; None where it is unknown.

    `code` is its response code in capitals.
    """
    words = normalised(text)
    row, found = _read(words)
    meaning = None if code in _OF_WHAT_WAS_ASKED else _combined_meaning(code, found)
    if meaning is None:
        return None
    wait = _wait(words, now)
    if row is None or row.meaning is not meaning:
        return Understanding(meaning, wait)
    return Understanding(meaning, wait, row.provider, row.source)


def concerns_address(text: str) -> bool:
    """Return whether a reply speaks of our address, and not of one account only."""
    words = normalised(text)
    return any(part in words for part in _ADDRESS) and not any(part in words for part in _ACCOUNT)


def named_wait(text: str) -> float | None:
    """Return the seconds that a reply asks to wait, whatever else it means."""
    return _wait(normalised(text))


def _wait(words: str, now: datetime | None = None) -> float | None:
    # Imported here, as most sessions meet no refusal.
    from reconciler.replies.requested_waits import seconds_named  # noqa: PLC0415

    return seconds_named(words, now or datetime.now(UTC))


@functools.lru_cache(maxsize=256)
def _read(words: str) -> tuple[SourcedReply | None, Meaning | None]:
    """Return the row of the table that fits, and the meaning of the words."""
    row = _row(words)
    found = row.meaning if row else None
    if found is None or found in _GENERAL_WORDS:
        found = _ruled(words, found)
    if found is Meaning.LATER and any(word in words for word in _OF_CREDENTIALS):
        found = None
    return row, found


def _combined_meaning(code: str, words: Meaning | None) -> Meaning | None:
    """Return the meaning of a reply whose words alone mean `words`."""
    meaning = _CODES.get(code) or _PASSING.get(code) or _GENERAL.get(code)
    if code in _CODES:
        words_first = words in _ASKING_FOR_LESS and (
            meaning in _ASKING_FOR_LESS or meaning is Meaning.OVER_QUOTA
        )
    elif code in _PASSING:
        words_first = words in _ASKING_FOR_LESS or words is Meaning.NOT_CONNECTED
    else:
        words_first = words is not None and words not in _GENERAL_WORDS
    return words if words_first or meaning is None else meaning


def normalised(text: str) -> str:
    """Return the first `_LONGEST` characters in lower case, with one space between words.

    Compatibility forms are unified (NFKC), and quotation marks become ASCII.
    """
    folded = unicodedata.normalize("NFKC", text[:_LONGEST]).translate(_QUOTES).casefold()
    return " ".join(folded.split())


def decoded(data: bytes, known: Callable[[str], bool] | None = None) -> str:
    """Return a reply as text: from UTF-8, or from the encoding that gives known words.

    Without such an encoding, octets that are not UTF-8 become \\xNN. `known` returns whether words
    of a normalised text that are not ASCII have a meaning.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    for encoding in _ENCODINGS:
        try:
            # An incremental decoder, as the cut may be within a character.
            text = codecs.getincrementaldecoder(encoding)().decode(data[:_LONGEST])
        except UnicodeDecodeError:
            continue
        if (known or _known)(normalised(text)):
            return text
    return data.decode("utf-8", "backslashreplace")


def _known(words: str) -> bool:
    row = _row(words)
    return (row is not None and not row.says.isascii()) or _telling(words)


def _row(words: str) -> SourcedReply | None:
    bare = " . ".join(_clauses(words))
    return next(
        (
            reply
            for parts, rarest, reply in _table()
            if rarest in bare and contains_parts(bare, parts)
        ),
        None,
    )


def _ruled(words: str, otherwise: Meaning | None) -> Meaning | None:
    """Return the meaning by the first rule that fits a clause, or else a whole sentence.

    `otherwise` is returned instead of a meaning of a general kind.
    """
    stems = _spoken(words)
    found = None
    for pieces in (_clauses(words, commas=True), _clauses(words)):
        found = _of_clauses(pieces, stems)
        if found is not None and found not in _GENERAL_WORDS:
            return found
    return otherwise or found


def _of_clauses(pieces: Sequence[str], stems: Sequence[_Stem]) -> Meaning | None:
    mentioned = [
        {stem.idea for stem in stems if contains_parts(piece, stem.parts)} for piece in pieces
    ]
    for rule in _rules():
        if any(
            ideas.issuperset(rule.ideas) and ideas.isdisjoint(rule.without) for ideas in mentioned
        ):
            return rule.meaning
    return None


def _spoken(words: str) -> list[_Stem]:
    """Return the stems that may be in the text."""
    return [stem for stem in _stems() if stem.rarest in words]


def _telling(words: str) -> bool:
    """Return whether words that are not ASCII have a meaning together.

    In a wrong encoding they have none.
    """
    stems = _spoken(words)
    return (
        any(not stem.rarest.isascii() and contains_parts(words, stem.parts) for stem in stems)
        and _of_clauses(_clauses(words), stems) is not None
    )


def _clauses(words: str, *, commas: bool = False) -> list[str]:
    from reconciler.replies.vocabulary import clauses  # noqa: PLC0415  # as above

    return clauses(words, commas=commas)


def _rules() -> Sequence[Rule]:
    from reconciler.replies.vocabulary import RULES  # noqa: PLC0415  # as above

    return RULES


class _Stem(NamedTuple):
    """The beginning of a word that stands for an idea; its parts may have others between them."""

    idea: str
    parts: Sequence[str]
    rarest: str
    """The longest part, which is searched first."""


@functools.cache
def _stems() -> Sequence[_Stem]:
    from reconciler.replies.vocabulary import IDEAS  # noqa: PLC0415  # as above

    return [
        _Stem(idea, parts, max(parts, key=len).rstrip("_"))
        for idea, words in IDEAS.items()
        for parts in ([part.strip() for part in stem.split("*")] for stem in words.split("|"))
    ]


@functools.cache
def _table() -> Sequence[tuple[Sequence[str], str, SourcedReply]]:
    from reconciler.replies.sourced_replies import REPLIES  # noqa: PLC0415  # as above

    return [
        (parts, max(parts, key=len).rstrip("_"), reply)
        for reply in REPLIES
        for parts in [[part.strip() for part in normalised(reply.says).split("*")]]
    ]


def contains_parts(words: str, parts: Sequence[str]) -> bool:
    """Return whether the text has the parts, in their order.

    Each part is searched once, from the end of the part before.
    """
    position = 0
    for part in parts:
        position = _found(words, part, position)
        if position < 0:
            return False
        position += len(part)
    return True


def _found(words: str, part: str, position: int) -> int:
    """Return where, from `position` on, a word begins with `part`; -1 if none does.

    A part that ends with `_` must be the whole word. In scripts without spaces a word may begin
    anywhere.
    """
    whole = part.endswith("_")
    part = part.rstrip("_")
    anywhere = not part[0].isalnum() or _wide(part[0])
    while (position := words.find(part, position)) >= 0:
        end = position + len(part)
        begins = (
            anywhere
            or not position
            or not words[position - 1].isalnum()
            or _wide(words[position - 1])
        )
        if begins and not (whole and words[end : end + 1].isalnum() and not _wide(words[end])):
            return position
        position += 1
    return position


def _wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) == "W"
