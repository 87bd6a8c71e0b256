"""The run control file of fetchmail 6.4 as entries with options: its words, noise words, defaults and users."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from reconciler.manifests.foreign.accounts import Unreadable

_TOKEN = re.compile(r"""(?P<space>[ \t\r\f\v]+|\\\n)|(?P<newline>\n)|(?P<comment>\#[^\n]*)|(?P<noise>[;:,])|(?P<map>=)
    |"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^=;:,\s]+)""", re.VERBOSE | re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(\n[ \t]*)|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b"}
_NOISE = frozenset({"and", "with", "has", "wants", "options"})
_SYNONYMS = {"proto": "protocol", "pass": "password", "username": "user", "service": "port", "localdomains": "local",
             "authenticate": "auth", "server": "poll", "mailbox": "folder", "folders": "folder",
             "fetchmailhost": "smtphost", "smtp": "smtphost", "pass8": "pass8bits"}
_FLAGS = frozenset({
    "keep", "flush", "limitflush", "fetchall", "rewrite", "stripcr", "forcecr", "pass8bits", "dropstatus",
    "dropdelivered", "mimedecode", "idle", "ssl", "sslcertck", "dns", "uidl", "checkalias", "tracepolls", "lmtp"})
_VALUES = frozenset({
    "via", "protocol", "port", "auth", "timeout", "qvirtual", "interface", "monitor", "plugin", "plugout", "interval",
    "principal", "esmtpname", "esmtppassword", "bad-header", "password", "sslcert", "sslkey", "sslproto", "sslcertfile",
    "sslcertpath", "sslfingerprint", "sslcommonname", "smtpaddress", "smtpname", "mda", "bsmtp", "preconnect",
    "postconnect", "limit", "warnings", "batchlimit", "fetchlimit", "fetchsizelimit", "fastuidl", "expunge",
    "properties", "remote"})
_LISTS = frozenset({"aka", "local", "folder", "smtphost", "fetchdomains", "antispam", "is", "to"})
_SET_VALUES = frozenset({"daemon", "postmaster", "logfile", "pidfile", "idfile", "properties"})
_ENTRIES = frozenset({"poll", "skip", "defaults", "set"})
_KEYWORDS = _FLAGS | _VALUES | _LISTS | _ENTRIES | {"user", "here", "there", "envelope", "no"}


class Option(Struct, frozen=True):
    """`values` are empty for a flag; `on` is false behind `no`."""

    line: int
    values: tuple[str, ...] = ()
    on: bool = True


class User(Struct):
    """A user of a server: its name there, and what is said of it."""

    line: int
    name: str
    options: dict[str, Option] = field(default_factory=dict)


class Entry(Struct):
    """A `poll`, `skip` or `defaults`; `options` are the server's, and those of every user that has none of its own."""

    line: int
    sort: str
    name: str
    options: dict[str, Option] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)


class Token(Struct, frozen=True):
    line: int
    text: str
    quoted: bool = False

    @property
    def keyword(self) -> str:
        """The option or entry that it begins; "" where it is just text."""
        word = "" if self.quoted else self.text.lower()
        word = _SYNONYMS.get(word, word)
        return word if word in _KEYWORDS else ""


def tokens(text: str) -> Iterator[Token]:
    """The words of the file, noise left out."""
    line = 1
    for found in _TOKEN.finditer(text):
        quoted = found.lastgroup in {"double", "single"}
        if quoted:
            yield Token(line, _ESCAPE.sub(_unescaped, found[str(found.lastgroup)]), quoted=True)
        elif found["map"] or (found["word"] and found["word"].lower() not in _NOISE):
            yield Token(line, found[0])
        line += found[0].count("\n")


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2]:
        return chr(int(found[2], 8) & 0xff)
    return "" if found[3] else _LETTERS.get(found[4], found[4])


class Reader:
    """One pass over the words; `entries` and `settings` are what they say. No error quotes a word: it may be a
    password."""

    def __init__(self, text: str) -> None:
        self._tokens = list(tokens(text))
        self._at = 0
        self.settings: dict[str, Option] = {}
        self.entries: list[Entry] = []

    def read(self) -> None:
        """Raises Unreadable."""
        while (token := self._next()) is not None:
            if token.keyword == "set":
                self._set()
            elif token.keyword in _ENTRIES:
                name = "" if token.keyword == "defaults" else self._value(token)
                self._entry(Entry(token.line, token.keyword, name))
            else:
                raise Unreadable(token.line, "poll, skip, defaults or set is expected here")

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> Token | None:
        token = self._peek()
        self._at += 1
        return token

    def _value(self, owner: Token) -> str:
        token = self._next()
        if token is not None and token.text == "=" and not token.quoted:
            token = self._next()
        if token is None:
            raise Unreadable(owner.line, f"`{owner.text}` has no value")
        return token.text

    def _set(self) -> None:
        token = self._next()
        on = token is None or token.text.lower() != "no"
        token = token if on else self._next()
        if token is None:
            raise Unreadable(self._tokens[-1].line, "`set` has no value")
        key = token.text.lower()
        values = (self._value(token),) if key in _SET_VALUES and on else ()
        self.settings[key] = Option(token.line, values, on)

    def _entry(self, entry: Entry) -> None:
        self.entries.append(entry)
        while (token := self._peek()) is not None and token.keyword not in _ENTRIES:
            self._at += 1
            options = entry.users[-1].options if entry.users else entry.options
            if token.keyword == "user":
                self._user(entry, token)
            elif token.keyword in {"here", "there"}:
                continue
            else:
                name, option = self._option(token)
                options[name] = option

    def _user(self, entry: Entry, token: Token) -> None:
        """`user there is local here`, or the other way round: `user local here is user there`."""
        name, after = self._value(token), self._peek()
        user = User(token.line, name)
        if after is not None and after.keyword == "here":
            user.name, user.options["is"] = "", Option(token.line, (name,))
            self._at += 1
            if (is_ := self._peek()) is not None and is_.keyword in {"is", "to"}:
                self._at += 1
                user.name = self._value(is_)
        entry.users.append(user)

    def _option(self, token: Token) -> tuple[str, Option]:
        on, name = True, token.keyword
        if name == "no":
            following = self._next()
            on, name = False, following.keyword if following else ""
        elif token.text.lower().startswith("no") and not name and not token.quoted:
            short = Token(token.line, token.text[2:])
            on, name = False, short.keyword if short.keyword in _FLAGS else ""
        if name in _FLAGS or (not on and name):
            return name, Option(token.line, (), on)
        if name in _VALUES:
            return name, Option(token.line, (self._value(token),))
        if name in _LISTS:
            return name, Option(token.line, tuple(self._list()))
        if name == "envelope":
            values = (self._value(token),)
            return name, Option(token.line, (*values, self._value(token)) if values[0].isdigit() else values)
        raise Unreadable(token.line, "this is no option of fetchmail 6.4: are quotes missing?")

    def _list(self) -> Iterator[str]:
        """Values up to the next keyword; `a = b` as one value `a=b`."""
        while (token := self._peek()) is not None and not token.keyword:
            self._at += 1
            following = self._peek()
            if following is not None and following.text == "=" and not following.quoted:
                self._at += 1
                yield f"{token.text}={self._value(token)}"
            else:
                yield token.text
