"""From a server's reply to what it means: its response code first (RFC 5530, RFC 2449, RFC 3206), then its words."""

from __future__ import annotations

import codecs
import functools
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.providers.meanings import Meaning

if TYPE_CHECKING:
    from reconciler.providers.replies import Reply

_LONGEST = 1000
"""Characters that are looked at: what a reply means stands at its beginning."""
_ENCODINGS = ("gb18030", "cp1251", "koi8-r", "euc-jp", "shift_jis", "latin-1")
"""What servers write in that know no UTF-8, the rows decide which."""
_CODES = {
    "LIMIT": Meaning.THROTTLED, "LOGIN-DELAY": Meaning.THROTTLED, "INUSE": Meaning.IN_USE, "IN-USE": Meaning.IN_USE,
    "OVERQUOTA": Meaning.OVER_QUOTA, "EXPIRED": Meaning.PASSWORD_EXPIRED, "PRIVACYREQUIRED": Meaning.TLS_WANTED,
    "WEBALERT": Meaning.WEB_LOGIN,
}
"""Codes that say it all."""
_PASSING = {
    "UNAVAILABLE": Meaning.TEMPORARY, "SYS/TEMP": Meaning.TEMPORARY, "SERVERBUG": Meaning.TEMPORARY,
}
"""Codes of a server's own trouble; words may say that it wants less."""
_GENERAL = {
    "AUTHENTICATIONFAILED": Meaning.WRONG_PASSWORD, "AUTH": Meaning.WRONG_PASSWORD,
    "AUTHORIZATIONFAILED": Meaning.WRONG_PASSWORD, "CONTACTADMIN": Meaning.CONTACT_ADMIN,
    "SYS/PERM": Meaning.NO_MAILBOX,
}
"""Codes that stand with much; words that say more count."""
_OF_LESS = {Meaning.THROTTLED, Meaning.CONNECTIONS, Meaning.BANDWIDTH, Meaning.IN_USE}
_NOTHING_NEW = {Meaning.WRONG_PASSWORD, Meaning.TEMPORARY, Meaning.LATER}
"""Words that do not outweigh a code."""
_OF_CREDENTIALS = ("password", "credential", "authenticat", "log in", "login", "пароль", "логин", "密码", "passwor",
                   "kennwort", "mot de passe", "contraseña", "hasł", "パスワード")
"""What is put off with such words may be a refused password all the same."""
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "\u00ad": None, "\u200b": None, "\u00a0": " "})


class Understanding(Struct, frozen=True):
    """`wait`: seconds that the server names; `provider`: who says such, "" where it may be anybody; `source`: the page
    that shows the words, "" where the code alone decided."""

    meaning: Meaning
    wait: float | None = None
    provider: str = ""
    source: str = ""


def understand(text: str, code: str = "", now: datetime | None = None) -> Understanding | None:
    """What a refusal means; None where nobody knows. `code` is its response code in capitals."""
    words = normalised(text)
    row = _row(words)
    found = row.meaning if row else None
    if found is Meaning.LATER and any(word in words for word in _OF_CREDENTIALS):
        found = None
    meaning = _weighed(code, found)
    if meaning is None:
        return None
    from reconciler.providers.waits import seconds_named  # noqa: PLC0415  # a session that is not refused does without

    wait = seconds_named(words, now or datetime.now(UTC))
    if row is None or found is not meaning:
        return Understanding(meaning, wait)
    return Understanding(meaning, wait, row.provider, row.source)


def _weighed(code: str, words: Meaning | None) -> Meaning | None:
    if code in _CODES:
        meaning = _CODES[code]
        return words if words in _OF_LESS | {Meaning.BANDWIDTH} and meaning in _OF_LESS | {Meaning.OVER_QUOTA} \
            else meaning
    if code in _PASSING:
        return words if words in _OF_LESS or words is Meaning.NOT_CONNECTED else _PASSING[code]
    if code in _GENERAL:
        return words if words is not None and words not in _NOTHING_NEW else _GENERAL[code]
    return words


def normalised(text: str) -> str:
    """Bounded, lower case, compatibility forms unified, one space between words."""
    folded = unicodedata.normalize("NFKC", text[:_LONGEST]).translate(_QUOTES).casefold()
    return " ".join(folded.split())


def decoded(data: bytes) -> str:
    """A reply as text: UTF-8, or whatever encoding makes it something that servers say; else its octets as \\xNN."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    for encoding in _ENCODINGS:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(data[:_LONGEST])  # it may end within a character
        except UnicodeDecodeError:
            continue
        row = _row(normalised(text))
        if row is not None and not row.says.isascii():
            return text
    return data.decode("utf-8", "backslashreplace")


def _row(words: str) -> Reply | None:
    return next((reply for parts, reply in _table() if _says(words, parts)), None)


@functools.cache
def _table() -> Sequence[tuple[Sequence[str], Reply]]:
    from reconciler.providers.replies import REPLIES  # noqa: PLC0415  # the same

    return [([part.strip() for part in normalised(reply.says).split("*")], reply) for reply in REPLIES]


def _says(words: str, parts: Sequence[str]) -> bool:
    """Whether the parts stand in the text, in their order: each is looked for once from left to right."""
    position = 0
    for part in parts:
        position = _found(words, part, position)
        if position < 0:
            return False
        position += len(part)
    return True


def _found(words: str, part: str, position: int) -> int:
    """Where `part` stands at the beginning of a word; writing without spaces has words anywhere."""
    anywhere = not part[0].isalnum() or unicodedata.east_asian_width(part[0]) == "W"
    while (position := words.find(part, position)) > 0:
        if anywhere or not words[position - 1].isalnum() \
                or unicodedata.east_asian_width(words[position - 1]) == "W":
            return position
        position += 1
    return position
