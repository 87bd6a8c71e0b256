"""From a server's reply to what it means: its response code first (RFC 5530, RFC 2449, RFC 3206),
then its words: those that a page shows (`replies`), then any that say the same (`vocabulary`)."""

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
"""Characters that are looked at: what a reply means stands at its beginning."""
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
"""What servers write in that know no UTF-8; which one it is, what is understood decides."""
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
"""Codes that say it all."""
_PASSING = {
    "UNAVAILABLE": Meaning.TEMPORARY,
    "SYS/TEMP": Meaning.TEMPORARY,
    "SERVERBUG": Meaning.TEMPORARY,
}
"""Codes of a server's own trouble; words may say that it wants less."""
_GENERAL = {
    "AUTHENTICATIONFAILED": Meaning.WRONG_PASSWORD,
    "AUTH": Meaning.WRONG_PASSWORD,
    "AUTHORIZATIONFAILED": Meaning.WRONG_PASSWORD,
    "CONTACTADMIN": Meaning.CONTACT_ADMIN,
    "SYS/PERM": Meaning.NO_MAILBOX,
}
"""Codes that stand with much; words that say more count."""
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
"""Codes that blame the command: what stands behind them is mostly a name."""
_OF_LESS = {Meaning.THROTTLED, Meaning.CONNECTIONS, Meaning.BANDWIDTH, Meaning.IN_USE}
_NOTHING_NEW = {Meaning.WRONG_PASSWORD, Meaning.TEMPORARY, Meaning.LATER}
"""Words that do not outweigh a code, nor others that say more."""
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
"""What is put off with such words may be a refused password all the same."""
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
"""Those that count an account's connections from one address say both."""
_QUOTES = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "\u00ad": None, "\u200b": None, "\u00a0": " "}
)


class Understanding(Struct, frozen=True):
    """`wait`: seconds that the server names; `provider`: who says such, "" where it may be anybody;
    `source`: the page that shows the words, "" where the code alone decided."""

    meaning: Meaning
    wait: float | None = None
    provider: str = ""
    source: str = ""


def understand(text: str, code: str = "", now: datetime | None = None) -> Understanding | None:
    """What a refusal means; None where nobody knows. `code` is its response code in capitals."""
    words = normalised(text)
    row, found = _read(words)
    meaning = None if code in _OF_WHAT_WAS_ASKED else _weighed(code, found)
    if meaning is None:
        return None
    wait = _wait(words, now)
    if row is None or row.meaning is not meaning:
        return Understanding(meaning, wait)
    return Understanding(meaning, wait, row.provider, row.source)


def speaks_of_address(text: str) -> bool:
    """Whether the address that asks is too much, and not only one account of it."""
    words = normalised(text)
    return any(part in words for part in _ADDRESS) and not any(part in words for part in _ACCOUNT)


def named_wait(text: str) -> float | None:
    """Seconds that a reply asks to wait, whatever else it means."""
    return _wait(normalised(text))


def _wait(words: str, now: datetime | None = None) -> float | None:
    # a session that is not refused does without
    from reconciler.replies.requested_waits import seconds_named  # noqa: PLC0415

    return seconds_named(words, now or datetime.now(UTC))


@functools.lru_cache(maxsize=256)
def _read(words: str) -> tuple[SourcedReply | None, Meaning | None]:
    """The line of the table that fits, and what the words mean."""
    row = _row(words)
    found = row.meaning if row else None
    if found is None or found in _NOTHING_NEW:
        found = _ruled(words, found)
    if found is Meaning.LATER and any(word in words for word in _OF_CREDENTIALS):
        found = None
    return row, found


def _weighed(code: str, words: Meaning | None) -> Meaning | None:
    if code in _CODES:
        meaning = _CODES[code]
        return (
            words
            if words in _OF_LESS | {Meaning.BANDWIDTH}
            and meaning in _OF_LESS | {Meaning.OVER_QUOTA}
            else meaning
        )
    if code in _PASSING:
        return words if words in _OF_LESS or words is Meaning.NOT_CONNECTED else _PASSING[code]
    if code in _GENERAL:
        return words if words is not None and words not in _NOTHING_NEW else _GENERAL[code]
    return words


def normalised(text: str) -> str:
    """Bounded, lower case, compatibility forms unified, one space between words."""
    folded = unicodedata.normalize("NFKC", text[:_LONGEST]).translate(_QUOTES).casefold()
    return " ".join(folded.split())


def decoded(data: bytes, known: Callable[[str], bool] | None = None) -> str:
    """A reply as text: UTF-8, or whatever encoding makes it something that servers say; else its
    octets as \\xNN. `known`: whether words that are no ASCII mean something in a normalised text.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    for encoding in _ENCODINGS:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(
                data[:_LONGEST]
            )  # it may end within a character
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
        (reply for parts, rarest, reply in _table() if rarest in bare and says(bare, parts)), None
    )


def _ruled(words: str, otherwise: Meaning | None) -> Meaning | None:
    """What the first rule that fits says of a clause, else of a whole sentence; `otherwise` where
    that is no more."""
    stems = _spoken(words)
    found = None
    for pieces in (_clauses(words, commas=True), _clauses(words)):
        found = _of_clauses(pieces, stems)
        if found is not None and found not in _NOTHING_NEW:
            return found
    return otherwise or found


def _of_clauses(pieces: Sequence[str], stems: Sequence[_Stem]) -> Meaning | None:
    mentioned = [{stem.idea for stem in stems if says(piece, stem.parts)} for piece in pieces]
    for rule in _rules():
        if any(
            ideas.issuperset(rule.ideas) and ideas.isdisjoint(rule.without) for ideas in mentioned
        ):
            return rule.meaning
    return None


def _spoken(words: str) -> list[_Stem]:
    """Those of all stems that may stand in the text."""
    return [stem for stem in _stems() if stem.rarest in words]


def _telling(words: str) -> bool:
    """Whether words that are no ASCII mean something together: in the wrong encoding they do
    not."""
    stems = _spoken(words)
    return (
        any(not stem.rarest.isascii() and says(words, stem.parts) for stem in stems)
        and _of_clauses(_clauses(words), stems) is not None
    )


def _clauses(words: str, *, commas: bool = False) -> list[str]:
    from reconciler.replies.vocabulary import clauses  # noqa: PLC0415  # the same

    return clauses(words, commas=commas)


def _rules() -> Sequence[Rule]:
    from reconciler.replies.vocabulary import RULES  # noqa: PLC0415  # the same

    return RULES


class _Stem(NamedTuple):
    """`rarest`: the longest of its parts, to be looked for first."""

    idea: str
    parts: Sequence[str]
    rarest: str


@functools.cache
def _stems() -> Sequence[_Stem]:
    from reconciler.replies.vocabulary import IDEAS  # noqa: PLC0415  # the same

    return [
        _Stem(idea, parts, max(parts, key=len).rstrip("_"))
        for idea, words in IDEAS.items()
        for parts in ([part.strip() for part in stem.split("*")] for stem in words.split("|"))
    ]


@functools.cache
def _table() -> Sequence[tuple[Sequence[str], str, SourcedReply]]:
    from reconciler.replies.sourced_replies import REPLIES  # noqa: PLC0415  # the same

    return [
        (parts, max(parts, key=len).rstrip("_"), reply)
        for reply in REPLIES
        for parts in [[part.strip() for part in normalised(reply.says).split("*")]]
    ]


def says(words: str, parts: Sequence[str]) -> bool:
    """Whether the parts stand in the text, in their order: each is looked for once from left to
    right."""
    position = 0
    for part in parts:
        position = _found(words, part, position)
        if position < 0:
            return False
        position += len(part)
    return True


def _found(words: str, part: str, position: int) -> int:
    """Where `part` stands at the beginning of a word, and to its end where it ends with `_`;
    writing without spaces has words anywhere."""
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
