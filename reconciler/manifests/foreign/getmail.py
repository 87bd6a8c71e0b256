"""Conversion of the account of a getmail6 configuration, for all classes of retrievers.

One file: each option of getmail has its place in one spec.
"""

from __future__ import annotations

import ast
import configparser
import os.path
import re
from collections.abc import Mapping
from typing import Any

from reconciler.manifests.foreign.fetchmail import UNLIMITED
from reconciler.manifests.foreign.imported_accounts import (
    ForeignConfiguration,
    ImportedAccount,
    Note,
    UnreadableConfiguration,
    absolute_path,
    address,
    nearest_timeout,
)
from reconciler.model import known_providers

_RETRIEVER = re.compile(r"(Simple|BrokenUIDL|Multidrop)(POP3|IMAP)(SSL)?Retriever")
_SAID = {
    "retriever": {
        "type",
        "server",
        "port",
        "username",
        "password",
        "password_command",
        "mailboxes",
        "ca_certs",
        "ssl_fingerprints",
        "envelope_recipient",
        "use_peek",
        "timeout",
        "delete_dup_msgids",
        "use_cram",
        "use_apop",
        "record_mailbox",
        "uid_cache",
        "use_xoauth2",
    },
    "destination": {"type", "path", "host", "port", "override", "arguments", "user", "unixfrom"},
    "options": {
        "delete",
        "read_all",
        "max_message_size",
        "max_messages_per_session",
        "verbose",
        "delivered_to",
        "received",
        "message_log",
        "message_log_syslog",
        "message_log_verbose",
        "logfile",
        "fingerprint",
        "use_netrc",
        "to_oldmail_on_each_mail",
    },
}
_WHY = {
    "delete_after": (
        "messages are deleted in the session that collects them (new-delete), or never (new-keep)"
    ),
    "delete_bigger_than": "what is too large is skipped visibly and never deleted",
    "max_bytes_per_session": "`limit` counts messages",
    "certfile": "there are no client certificates here",
    "keyfile": "there are no client certificates here",
    "move_on_delete": "collected messages are deleted or left",
    "imap_search": "every message of the folder counts",
    "user": "who runs mailcollector writes the Maildirs",
}
_LMTP_PORT = 24


def getmail(text: str, domain: str, base: str = "") -> ForeignConfiguration:
    """Return the account of a getmailrc. Raises UnreadableConfiguration.

    `domain` is the domain of local users, `base` the directory of relative paths.
    """
    parser = configparser.RawConfigParser(inline_comment_prefixes=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        raise UnreadableConfiguration(
            error.lineno, "a getmailrc begins with a section such as [retriever]"
        ) from error
    except configparser.ParsingError as error:
        raise UnreadableConfiguration(
            error.errors[0][0] if error.errors else 1, "this is no `key = value`"
        ) from error
    if not parser.has_section("retriever"):
        raise UnreadableConfiguration(1, "there is no section [retriever]")
    return _GetmailComposer(parser, text, domain, base).foreign()


class _GetmailComposer:
    """The conversion of one file."""

    def __init__(
        self, parser: configparser.RawConfigParser, text: str, domain: str, base: str
    ) -> None:
        self._sections: Mapping[str, Mapping[str, str]] = {
            name: dict(parser[name]) for name in parser.sections()
        }
        self._lines, repeated = _lines(text)
        self._domain, self._base = domain, base
        line = self._line("retriever", "type")
        self._account = ImportedAccount(
            line, self._get("retriever", "username"), self._get("retriever", "server"), {}
        )
        for number, key in repeated:
            self._account.note(
                number, f"`{key}` stands here once more: the last one counts; getmail refuses that"
            )

    def foreign(self) -> ForeignConfiguration:
        kind = self._get("retriever", "type")
        if kind == "MultidropSDPSRetriever":
            return ForeignConfiguration(
                (),
                (
                    Note(
                        self._line("retriever", "type"),
                        "SDPS, Demon Internet's extension of POP3, is not supported: no account",
                    ),
                ),
                left_out=True,
            )
        found = _RETRIEVER.fullmatch(kind)
        if found is None:
            raise UnreadableConfiguration(
                self._line("retriever", "type"), f"{kind or 'no'} is no retriever of getmail6"
            )
        if not (self._account.username and self._account.host):
            raise UnreadableConfiguration(
                self._line("retriever", "type"), "server and username are needed"
            )
        if found[1] == "BrokenUIDL":
            self._note(
                "retriever",
                "type",
                "identifiers of messages that do not last are recognised by themselves",
            )
        protocol, implicit = found[2].lower(), bool(found[3])
        self._account.spec.update(
            {
                "source": self._source(protocol, implicit=implicit),
                "collect": self._collect(),
                "recipient": self._detected() if found[1] == "Multidrop" else self._forwarded(),
            }
        )
        self._account.place = self._place()
        self._rest()
        return ForeignConfiguration((self._account,))

    def _get(self, section: str, key: str) -> str:
        return self._sections.get(section, {}).get(key, "").strip()

    def _line(self, section: str, key: str) -> int:
        return self._lines.get((section, key), self._lines.get((section, ""), 1))

    def _note(self, section: str, key: str, message: str) -> None:
        self._account.note(self._line(section, key), message)

    def _tuple(self, section: str, key: str) -> tuple[str, ...]:
        """Return a list, which getmail writes as a Python tuple."""
        text = self._get(section, key)
        try:
            value = ast.literal_eval(text) if text else ()
        except (ValueError, SyntaxError):
            raise UnreadableConfiguration(
                self._line(section, key), f"`{key}` is no tuple of texts, such as ('a', 'b')"
            ) from None
        return (value,) if isinstance(value, str) else tuple(map(str, value))

    def _flag(self, key: str, default: bool) -> bool:
        text = self._get("options", key).lower()
        found = {**configparser.RawConfigParser.BOOLEAN_STATES, "": default}.get(text)
        if found is None:
            self._note(
                "options",
                key,
                f"`{key}` is neither true nor false: it is taken for {str(default).lower()}",
            )
        return default if found is None else found

    def _path(self, section: str, key: str) -> str | None:
        """Return a path with the home directory and variables expanded, as getmail does."""
        text = os.path.expandvars(self._get(section, key))
        found = absolute_path(self._base, text or None)
        if found and ((text.startswith("~") and "~" in found) or "$" in text):
            self._note(
                section,
                key,
                f"`{key}` names a user or a variable that is not known here: correct {found}",
            )
        return found

    def _number(self, section: str, key: str) -> int | None:
        """Return a number in Python's syntax, such as `5_000` with a comment after it."""
        text = self._get(section, key)
        if not text or text.lower() == "none":
            return None
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**12:
            self._note(
                section,
                key,
                f"`{key}` is no number that is understood here: it is not carried over",
            )
            return None
        return value

    def _source(self, protocol: str, *, implicit: bool) -> dict[str, Any]:
        source: dict[str, Any] = {
            "protocol": protocol,
            "host": self._account.host,
            "port": self._number("retriever", "port"),
            "tls": None if implicit else "none",
            "timeout": self._timeout(),
            "caFile": self._path("retriever", "ca_certs"),
            "username": self._account.username,
        }
        if not implicit:
            self._note(
                "retriever",
                "type",
                "no TLS was used: declare `tls: starttls` where the server has it",
            )
        prints = [
            one
            for one in self._tuple("retriever", "ssl_fingerprints")
            if len(one.replace(":", "")) == 64
        ]
        if prints:
            source.update(fingerprint=prints[0], caFile=None)
        if protocol == "imap":
            source["folders"] = self._folders()
        self._password(source)
        return source

    def _timeout(self) -> str | None:
        seconds = self._number("retriever", "timeout")
        if seconds is None:
            return None
        declared, note = nearest_timeout(seconds)
        if note:
            self._note("retriever", "timeout", note)
        return declared

    def _folders(self) -> tuple[str, ...] | None:
        if self._get("retriever", "mailboxes").upper() == "ALL":
            self._note(
                "retriever",
                "mailboxes",
                "ALL: `*` takes every folder but trash, junk, drafts and the like",
            )
            return ("*",)
        return self._tuple("retriever", "mailboxes") or None

    def _password(self, source: dict[str, Any]) -> None:
        command = self._tuple("retriever", "password_command")
        if self._get("retriever", "use_xoauth2").lower() in {"true", "yes", "on", "1"}:
            self._token_login(source)
        elif command:
            source["password"] = {"command": list(command)}
        else:
            password = self._sections["retriever"].get("password")
            self._account.take_secret(
                self._line("retriever", "username" if password is None else "password"), password
            )

    def _token_login(self, source: dict[str, Any]) -> None:
        """Fill in `oauth2`. getmail logs in with an access token, which is no password."""
        provider = known_providers.provider_of_host(self._account.host)
        source["oauth2"] = {
            "provider": (provider and provider.oauth2) or "custom",
            "clientId": "CLIENT-ID",
            "refreshToken": {"file": ".secrets/refresh-token"},
        }
        self._account.spec["enabled"] = False
        self._note(
            "retriever",
            "use_xoauth2",
            "it logs in by OAuth2: name the application's clientId and a file of its own for the "
            "refresh token, run `mailcollector oauth2`, then enable it",
        )

    def _collect(self) -> dict[str, Any]:
        delete, everything = (
            self._flag("delete", default=False),
            self._flag("read_all", default=True),
        )
        if everything and not delete:
            self._note(
                "options",
                "read_all",
                "`read_all` without `delete` collects everything every time: new-keep collects "
                "each message once",
            )
        size, count = (
            self._number("options", "max_message_size"),
            self._number("options", "max_messages_per_session"),
        )
        return {
            "mode": None if not delete else "all-delete" if everything else "new-delete",
            "limit": count or 0,
            "maxMessageSize": str(size) if size else UNLIMITED,
        }

    def _forwarded(self) -> dict[str, Any]:
        """Return the recipient: the one that the destination names, or the user of the account."""
        override, arguments = (
            self._get("destination", "override"),
            self._tuple("destination", "arguments"),
        )
        if self._get("destination", "type") == "MDA_external" and "-d" in arguments[:-1]:
            override = arguments[arguments.index("-d") + 1]
        return {"forwardTo": address(override or self._account.username, self._domain)}

    def _detected(self) -> dict[str, Any]:
        header, number = (
            part.strip()
            for part in self._get("retriever", "envelope_recipient").partition(":")[::2]
        )
        if number not in {"", "1"}:
            self._note(
                "retriever",
                "envelope_recipient",
                f"the topmost {header} decides, not number {number}",
            )
        domain = self._account.username.partition("@")[2] or self._account.host
        self._note(
            "retriever",
            "type",
            f"the addresses of {domain} are taken for ours: correct `from` where that is wrong; "
            "`mailcollector route` shows who would get a message",
        )
        return {"detect": {"from": [domain], "to": self._domain, "header": header or None}}

    def _place(self) -> dict[str, Any] | None:
        kind = self._get("destination", "type")
        if kind == "Maildir" and (path := self._path("destination", "path")):
            return {"maildir": {"path": path.rstrip("/") or "/"}}
        if kind == "MDA_lmtp":
            host, port = (
                self._get("destination", "host") or "localhost",
                self._number("destination", "port"),
            )
            return {
                "lmtp": {"socket": host}
                if host.startswith("/")
                else {"host": host, "port": port or _LMTP_PORT}
            }
        if kind:
            self._note(
                "destination",
                "type",
                f"{kind} is not carried over: mail goes to a Destination (Maildir, LMTP or SMTP)",
            )
        return None

    def _rest(self) -> None:
        """Add notes on all options without a counterpart."""
        for section, fields in self._sections.items():
            known = _SAID.get(section)
            if known is None:
                self._note(section, "", f"the section [{section}] is not carried over")
                continue
            for key in fields:
                if key not in known and self._get(section, key).lower() not in {
                    "",
                    "none",
                    "false",
                    "0",
                }:
                    why = _WHY.get(key)
                    self._note(
                        section, key, f"`{key}` is not carried over" + (f": {why}" if why else "")
                    )


def _lines(text: str) -> tuple[dict[tuple[str, str], int], list[tuple[int, str]]]:
    """Return the lines of all sections (with an empty key) and keys, and the repeated ones."""
    found: dict[tuple[str, str], int] = {}
    repeated: list[tuple[int, str]] = []
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\[([^]]+)\]", line):
            section, place = header[1], (header[1], "")
        elif key := re.match(r"([^\s#;:=][^:=]*?)\s*[:=]", line):
            place = section, key[1].lower()
        else:
            continue
        if place in found:
            repeated.append((number, place[1] or f"[{section}]"))
        found[place] = number
    return found, repeated
