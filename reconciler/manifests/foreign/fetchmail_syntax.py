"""The run control file of fetchmail 6.4 as entries with options.

Words are read as by fetchmail's own scanner. The longest match wins, and keywords are in lower
case. After `user`, `password`, `is`, `to` and `=` any word is a name. A part that is not understood
ends its user or entry, never the file.

One file: the scanner and the parser share the tables of keywords.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from msgspec import Struct, field

_QUOTED = re.compile(r'"([^"]*)"|\'([^\']*)\'')
_WORD = re.compile(r"[^=;:, \t\r\n]+")
_IGNORED = re.compile(r"[ \t\r;:,]+|(?:#[^\n]*)?\\?\n")
_ANY = ("*", "")
_NUMBER = re.compile(r"-?[0-9]+")
_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{0,2})|0([0-7]{0,2})|([1-9][0-9]{0,2})|(.)|$)", re.DOTALL
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "\n": ""}
_NOISE = frozenset({"and", "with", "has", "wants", "options"})
_SYNONYMS = {
    "proto": "protocol",
    "pass": "password",
    "username": "user",
    "service": "port",
    "localdomains": "local",
    "auth": "authenticate",
    "preauth": "authenticate",
    "preauthenticate": "authenticate",
    "server": "poll",
    "folders": "folder",
    "smtp": "smtphost",
    "pass8": "pass8bits",
    "mimedec": "mimedecode",
    "pre": "preconnect",
    "post": "postconnect",
}
_NAMED = frozenset({"user", "password", "is", "to"})
"""Words that are followed by a name."""

_SERVER_FLAGS = frozenset({"uidl", "checkalias", "dns", "tracepolls"})
_USER_FLAGS = frozenset(
    {
        "keep",
        "flush",
        "limitflush",
        "fetchall",
        "rewrite",
        "forcecr",
        "stripcr",
        "pass8bits",
        "dropstatus",
        "dropdelivered",
        "mimedecode",
        "idle",
        "ssl",
        "sslcertck",
        "lmtp",
    }
)
_NEGATED = (_SERVER_FLAGS | _USER_FLAGS) - {"lmtp", "tracepolls"} | {
    "envelope",
    "bouncemail",
    "spambounce",
    "softbounce",
}
"""Options that can be preceded by `no`."""
_JOINED = _NEGATED - {"ssl", "sslcertck"}
"""Options that can be written in one word with `no`."""
_SERVER_TEXTS = frozenset(
    {
        "via",
        "qvirtual",
        "interface",
        "monitor",
        "plugin",
        "plugout",
        "principal",
        "esmtpname",
        "esmtppassword",
    }
)
_SERVER_NUMBERS = frozenset({"interval", "timeout"})
_USER_TEXTS = frozenset(
    {
        "smtpaddress",
        "smtpname",
        "mda",
        "bsmtp",
        "preconnect",
        "postconnect",
        "sslkey",
        "sslcert",
        "sslproto",
        "sslcertfile",
        "sslcertpath",
        "sslcommonname",
        "sslfingerprint",
        "properties",
    }
)
_USER_NUMBERS = frozenset(
    {"limit", "warnings", "fetchlimit", "fetchsizelimit", "fastuidl", "batchlimit", "expunge"}
)
_SERVER_LISTS = frozenset({"aka", "local"})
_USER_LISTS = frozenset({"folder", "smtphost", "fetchdomains"})
LISTS = _SERVER_LISTS | _USER_LISTS
"""Options whose values are combined."""
_SERVER = (
    _SERVER_FLAGS
    | _SERVER_TEXTS
    | _SERVER_NUMBERS
    | _SERVER_LISTS
    | {"protocol", "port", "authenticate", "envelope", "bad-header"}
)
_USER = (
    _USER_FLAGS | _USER_TEXTS | _USER_NUMBERS | _USER_LISTS | {"password", "is", "to", "antispam"}
)
_ENTRIES = frozenset({"poll", "skip", "defaults", "set"})
_SET_TEXTS = frozenset({"logfile", "idfile", "pidfile", "postmaster", "properties"})
_SET_FLAGS = frozenset(
    {"bouncemail", "spambounce", "softbounce", "syslog", "invisible", "showdots"}
)
_KEYWORDS = (
    _SERVER
    | _USER
    | _ENTRIES
    | _NOISE
    | _SET_TEXTS
    | _SET_FLAGS
    | _SYNONYMS.keys()
    | {"user", "here", "there", "no", "daemon", "accept", "reject"}
)
_PROTOCOLS = {"auto", "pop2", "sdps", "pop3", "imap", "apop", "rpop", "etrn", "odmr", "kpop"}
_PROTOCOL_WORDS = _PROTOCOLS | {word.upper() for word in _PROTOCOLS}
_AUTHENTICATIONS = frozenset(
    {
        "any",
        "gssapi",
        "kerberos",
        "kerberos4",
        "kerberos_v4",
        "kerberos5",
        "kerberos_v5",
        "ssh",
        "external",
        "otp",
        "opie",
        "cram",
        "cram-md5",
        "msn",
        "ntlm",
    }
)


_NO_OPTION = (
    "this is no option of a user in fetchmail 6.4: are quotes missing, or does an option of the "
    "server stand behind its users?"
)
_KINDS = {
    "protocol": ("protocol",),
    "authenticate": ("authentication",),
    "port": ("string", "number"),
}


class FetchmailSyntaxError(Exception):
    """A syntax error. The text never quotes a word, because it may be a password."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _misunderstood(line: int, message: str) -> NoReturn:
    raise FetchmailSyntaxError(line, message)


class Option(Struct, frozen=True):
    """An option. `values` is empty for a flag, and `on` is false after `no`."""

    line: int
    values: tuple[str, ...] = ()
    on: bool = True


class User(Struct):
    """A user of a server, with its name there and its options."""

    line: int
    name: str = ""
    options: dict[str, Option] = field(default_factory=dict)
    local: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of remote and local names. The local one is "" if it is the same."""
    wildcard: bool = False
    """Whether any other name is a local one too (`*`)."""


class PollEntry(Struct):
    """A `poll`, `skip` or `defaults` entry with the options of the server.

    If `defaults` has users, the first one's options apply to all users without their own.
    """

    line: int
    sort: str
    name: str
    options: dict[str, Option] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    broken: bool = False
    """Whether a part of the entry could not be read."""


class SyntaxProblem(Struct, frozen=True):
    """A part that could not be read, and what is left out because of it."""

    line: int
    message: str


class Token(Struct, frozen=True):
    """A word of the file.

    `kind` is string, number, keyword, authentication, protocol or map. In `text`, escapes are
    decoded, and synonyms and case are unified.
    """

    line: int
    kind: str
    text: str

    def keyword(self, *texts: str) -> bool:
        return self.kind == "keyword" and self.text in texts


def tokens(text: str) -> Iterator[Token]:
    """Yield the words of the file without noise words."""
    line, at, state = 1, 0, ""
    while at < len(text):
        ignored, quoted, word = (pattern.match(text, at) for pattern in (_IGNORED, _QUOTED, _WORD))
        longest = max(
            (found for found in (ignored, quoted, word) if found),
            key=lambda found: found.end(),
            default=None,
        )
        if longest is None:  # only the equals sign remains
            yield Token(line, "map", "=")
            at, state = at + 1, "name"
            continue
        at = longest.end()
        if longest is ignored:
            line += longest[0].count("\n")
            continue
        if longest is quoted:
            yield Token(
                line, "string", _unescaped(longest[1] if longest[1] is not None else longest[2])
            )
            line += longest[0].count("\n")
            state = ""
            continue
        words, state = _word(line, longest[0], state)
        yield from words


def _word(line: int, word: str, state: str) -> tuple[list[Token], str]:
    """Return the tokens of an unquoted word, and the state after it."""
    if state == "name":
        return [Token(line, "string", _unescaped(word))], ""
    if word in _AUTHENTICATIONS or (state == "authenticate" and word == "password"):
        return [Token(line, "authentication", word)], ""
    keywords = [_SYNONYMS.get(word, word)] if word in _KEYWORDS else _negated(word)
    if keywords:
        known = [Token(line, "keyword", keyword) for keyword in keywords if keyword not in _NOISE]
        last = keywords[-1]
        return known, "name" if last in _NAMED else last if last == "authenticate" else state
    if word in _PROTOCOL_WORDS:
        return [Token(line, "protocol", word.lower())], state
    if _NUMBER.fullmatch(word):
        return [Token(line, "number", word)], state
    return [Token(line, "string", _unescaped(word))], state


def _negated(word: str) -> list[str]:
    option = _SYNONYMS.get(word[2:], word[2:])
    return ["no", option] if word.startswith("no") and option in _JOINED else []


def _unescaped(text: str) -> str:
    """Decode the escapes of C. Unlike in C, numbers are decimal unless they begin with 0 or x."""
    return _ESCAPE.sub(_character, text).partition("\0")[0]


def _character(found: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 8), (3, 10)):
        if found[group] is not None:
            return chr(int(found[group] or "0", base) & 0xFF)
    return _LETTERS.get(found[4], found[4]) if found[4] else ""


class FetchmailReader:
    """The parser of one file. Its results are `entries`, `settings` and `problems`."""

    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._at = 0
        self.settings: dict[str, Option] = {}
        self.entries: list[PollEntry] = []
        self.problems: list[SyntaxProblem] = []

    def read(self) -> None:
        while (token := self._peek()) is not None:
            self._at += 1
            try:
                if token.keyword("set"):
                    self._set(token)
                elif token.keyword("poll", "skip", "defaults"):
                    self._entry(token)
                else:
                    _misunderstood(token.line, "poll, skip, defaults or set is expected here")
            except FetchmailSyntaxError as error:
                self._resume(error, "what stands here up to the next entry is left out", *_ENTRIES)

    # Words

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _taken(self, kind: str) -> Token | None:
        """Take the next word if it is of this kind."""
        token = self._peek()
        if token is None or token.kind != kind:
            return None
        self._at += 1
        return token

    def _keyword(self, *texts: str) -> bool:
        token = self._peek()
        if token is None or not token.keyword(*texts):
            return False
        self._at += 1
        return True

    def _value(self, owner: Token, *kinds: str) -> str:
        token = self._peek()
        if token is None or token.kind not in kinds:
            raise FetchmailSyntaxError(
                token.line if token else owner.line,
                f"`{owner.text}` has no value that fetchmail understands: are quotes missing, or "
                "is it written in capitals?",
            )
        self._at += 1
        return token.text

    def _resume(self, error: FetchmailSyntaxError, left_out: str, *keywords: str) -> None:
        self.problems.append(SyntaxProblem(error.line, f"{error}: {left_out}"))
        while (token := self._peek()) is not None and not token.keyword(*keywords):
            self._at += 1

    # Statements

    def _set(self, begin: Token) -> None:
        on = not self._keyword("no")
        token = self._taken("keyword")
        if token is not None and token.text == "daemon" and on:
            self._taken("map")
            self.settings["daemon"] = Option(token.line, (self._value(token, "number"),))
        elif token is not None and token.text in _SET_TEXTS and on:
            self._taken("map")
            self.settings[token.text] = Option(token.line, (self._value(token, "string"),))
        elif token is not None and token.text in _SET_FLAGS:
            self.settings[token.text] = Option(token.line, (), on)
        else:
            raise FetchmailSyntaxError(
                begin.line, "`set` is followed by nothing that fetchmail 6.4 can be set to"
            )

    def _entry(self, begin: Token) -> None:
        name = "" if begin.text == "defaults" else self._value(begin, "string")
        entry = PollEntry(begin.line, begin.text, name)
        self.entries.append(entry)
        try:
            self._options(entry.options, _SERVER)
        except FetchmailSyntaxError as error:
            entry.broken = True
            self._resume(error, "the whole entry is left out", *_ENTRIES)
            return
        self._users(entry)

    def _users(self, entry: PollEntry) -> None:
        """Read users. The word `user` may be missing for a single one."""
        unnamed = False
        while (token := self._peek()) is not None and not token.keyword(*_ENTRIES):
            user = User(token.line)
            try:
                if not self._keyword("user"):
                    unnamed = True
                    if entry.users:
                        _misunderstood(token.line, _NO_OPTION)
                elif unnamed:
                    _misunderstood(
                        token.line, "options of a user without a name stand before this one"
                    )
                else:
                    self._named(user, token)
                self._options(user.options, _USER, user)
                following = self._peek()
                if following is not None and not following.keyword("user", *_ENTRIES):
                    _misunderstood(following.line, _NO_OPTION)
            except FetchmailSyntaxError as error:
                entry.broken = True
                self._resume(error, "this user is left out", "user", *_ENTRIES)
                continue
            entry.users.append(user)

    def _named(self, user: User, token: Token) -> None:
        """Read `user there is local here`, or `user local here is user there`."""
        begin = self._at
        user.name = self._value(token, "string")
        if self._keyword("there"):
            return
        self._at = begin
        names = self._mappings()
        if self._keyword("here"):
            user.name, user.local = "", [name for name in names if name != _ANY]
            user.wildcard = _ANY in names
        else:
            self._at = begin + 1  # a name; options follow

    # Options

    def _options(
        self, options: dict[str, Option], allowed: frozenset[str], user: User | None = None
    ) -> None:
        while (token := self._peek()) is not None:
            begin = self._at
            on = not self._keyword("no")
            option = self._peek()
            if (
                option is None
                or option.kind != "keyword"
                or option.text not in allowed
                or (not on and option.text not in _NEGATED)
            ):
                self._at = begin
                return
            self._at += 1
            if option.text in {"is", "to"} and user is not None:
                self._local_names(option, user)
                continue
            values = self._values(option) if on else ()
            name = option.text
            if name in LISTS and name in options:
                values = (*options[name].values, *values)
            options[name] = Option(token.line, values, on)

    def _values(self, option: Token) -> tuple[str, ...]:
        name = option.text
        if name in _SERVER_FLAGS or name in _USER_FLAGS:
            return ()
        if name in LISTS or name == "antispam":
            return self._many(option, "number" if name == "antispam" else "string")
        if name == "envelope":
            skipped = self._taken("number")
            return (self._value(option, "string"), *([skipped.text] if skipped else []))
        if name == "bad-header":
            if not self._keyword("accept", "reject"):
                raise FetchmailSyntaxError(
                    option.line, "`bad-header` is followed by accept or reject"
                )
            return (self._tokens[self._at - 1].text,)
        number = name in _SERVER_NUMBERS or name in _USER_NUMBERS
        return (self._value(option, *(("number",) if number else _KINDS.get(name, ("string",)))),)

    def _many(self, option: Token, kind: str) -> tuple[str, ...]:
        values = [self._value(option, kind)]
        while (token := self._taken(kind)) is not None:
            values.append(token.text)
        return tuple(values)

    def _local_names(self, option: Token, user: User) -> None:
        """Read `is a b=c * here`, or `is NAME there`."""
        begin = self._at
        if self._taken("string") is not None and self._keyword("there"):
            user.name = self._tokens[begin].text
            return
        self._at = begin
        names = self._mappings()
        if not names:
            raise FetchmailSyntaxError(option.line, f"`{option.text}` is followed by no name")
        self._keyword("here")
        user.local.extend(name for name in names if name != _ANY)
        user.wildcard = user.wildcard or _ANY in names

    def _mappings(self) -> list[tuple[str, str]]:
        """Read `a b=c` as remote and local names."""
        names: list[tuple[str, str]] = []
        while (token := self._taken("string")) is not None:
            names.append(
                (token.text, self._value(token, "string") if self._taken("map") is not None else "")
            )
        return names
