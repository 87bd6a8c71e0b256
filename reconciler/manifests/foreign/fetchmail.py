"""Conversion of the accounts of fetchmail 6.4.

One file: each option of fetchmail has its place in one spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.manifests.foreign.fetchmail_syntax import (
    LISTS,
    FetchmailReader,
    Option,
    PollEntry,
    User,
)
from reconciler.manifests.foreign.imported_accounts import (
    ForeignConfiguration,
    ImportedAccount,
    Note,
    absolute_path,
    address,
    folder,
    nearest_interval,
    nearest_timeout,
)
from reconciler.model.whole_numbers import whole_number

UNLIMITED = "100GiB"
"""A limit larger than any message. fetchmail and getmail have none by default."""
_PORTS = {"imap": 143, "imaps": 993, "imap2": 143, "pop3": 110, "pop3s": 995}
_SENT = "a server is asked to send mail: nothing is collected"
_USUAL = {("imap", True): 993, ("imap", False): 143, ("pop3", True): 995, ("pop3", False): 110}
_SAID = frozenset(
    {
        "via",
        "protocol",
        "port",
        "password",
        "ssl",
        "sslproto",
        "sslcertfile",
        "keep",
        "fetchall",
        "limit",
        "fetchlimit",
        "folder",
        "interval",
        "idle",
        "local",
        "envelope",
        "qvirtual",
        "smtphost",
        "lmtp",
        "smtpaddress",
        "smtpname",
        "uidl",
        "stripcr",
        "forcecr",
        "pass8bits",
        "timeout",
        "expunge",
        "batchlimit",
        "fastuidl",
        "fetchsizelimit",
        "warnings",
        "dns",
        "checkalias",
        "bad-header",
    }
)
"""Options that are converted, or that have no counterpart and do not affect any message."""
_HARMLESS_OFF = frozenset(
    {
        "rewrite",
        "mimedecode",
        "dropstatus",
        "dropdelivered",
        "flush",
        "limitflush",
        "tracepolls",
        "keep",
        "fetchall",
        "idle",
        "ssl",
        "envelope",
        "sslcertck",
    }
)
_WHY: Mapping[str, str] = {
    "mda": "mail is not piped into programs here: it goes to a Destination (Maildir, LMTP or SMTP)",
    "bsmtp": "there are no BSMTP files here: mail goes to a Destination",
    "flush": "what was seen elsewhere is never deleted unread here",
    "limitflush": "too large messages are skipped visibly and never deleted here",
    "rewrite": "headers are never rewritten here",
    "mimedecode": "messages are never decoded here",
    "dropstatus": "messages are never changed here",
    "dropdelivered": "messages are never changed here",
    "sslfingerprint": "it is MD5: declare `fingerprint` with the certificate's SHA-256",
    "sslcert": "there are no client certificates here",
    "sslkey": "there are no client certificates here",
    "sslcertpath": "name one file with `caFile`",
    "sslcommonname": "declare that name as `host`",
    "authenticate": "how to log in is found out here: the strongest way that the server offers",
}


def fetchmail(text: str, domain: str, base: str = "") -> ForeignConfiguration:
    """Return the accounts of a fetchmailrc.

    `domain` is the domain of local users, `base` the directory of relative paths. Unreadable parts
    get a note and no account.
    """
    reader = FetchmailReader(text)
    reader.read()
    defaults = next((entry for entry in reader.entries if entry.sort == "defaults"), None)
    notes = [
        Note(option.line, f"`set {name}` is not carried over")
        for name, option in reader.settings.items()
        if name not in {"daemon", "postmaster"} and option.on
    ]
    notes += [Note(problem.line, problem.message) for problem in reader.problems]
    if defaults is not None and defaults.broken:
        notes.append(
            Note(
                defaults.line,
                "no account is carried over: what holds for all of them is not understood",
            )
        )
        return ForeignConfiguration((), tuple(notes), left_out=True)
    accounts: list[ImportedAccount] = []
    left_out = bool(reader.problems)
    for entry in reader.entries:
        users = entry.users or ([] if entry.broken else [User(entry.line)])
        for user in users if entry.sort != "defaults" else ():
            found = _FetchmailComposer(
                entry, user, defaults, reader.settings, domain, base
            ).account()
            if isinstance(found, Note):
                notes.append(Note(found.line, f"{entry.name}: no account: {found.message}"))
                left_out = left_out or _SENT not in found.message
            else:
                accounts.append(found)
    return ForeignConfiguration(tuple(accounts), tuple(notes), left_out)


def _options(entry: PollEntry, user: User, defaults: PollEntry | None) -> dict[str, Option]:
    """Return the effective options of a user: its own, then the defaults. Lists are combined."""
    own = {**entry.options, **user.options}
    if defaults is None:
        return own
    given = {**defaults.options, **(defaults.users[0].options if defaults.users else {})}
    joined = {
        name: Option(own[name].line, (*own[name].values, *given[name].values))
        for name in own.keys() & given.keys() & LISTS
    }
    return {**given, **own, **joined}


class _FetchmailComposer:
    """The conversion of one user of a server."""

    def __init__(
        self,
        entry: PollEntry,
        user: User,
        defaults: PollEntry | None,
        settings: Mapping[str, Option],
        domain: str,
        base: str,
    ) -> None:
        given = defaults.users[0] if defaults is not None and defaults.users else User(entry.line)
        self._options = _options(entry, user, defaults)
        self._entry, self._user, self._settings, self._base = entry, user, settings, base
        self._name = user.name or given.name
        self._local = user.local or given.local
        self._wildcard = user.wildcard or given.wildcard
        self._domain = self._value("smtpaddress") or domain
        self._host = self._value("via") or entry.name
        self._account = ImportedAccount(user.line, self._name, self._host, {})

    def account(self) -> ImportedAccount | Note:
        """Return the account, or a note on the reason why there is none."""
        protocol = self._protocol()
        if protocol is None:
            protocol_name = (self._value("protocol") or "").upper()
            return Note(
                self._line("protocol"),
                f"by {protocol_name} {_SENT}"
                if protocol_name in {"ETRN", "ODMR"}
                else f"{protocol_name} is not spoken here, only IMAP and POP3 are",
            )
        if not self._name:
            return Note(self._user.line, "it names no user")
        source = {
            "protocol": protocol,
            "host": self._host,
            **self._connection(protocol),
            "username": self._name,
            "timeout": self._timeout(),
            "caFile": absolute_path(self._base, self._value("sslcertfile")),
        }
        if protocol == "imap":
            source["folders"] = tuple(map(folder, self._values("folder")))
        self._account.spec = {
            "enabled": False if self._entry.sort == "skip" else None,
            "source": source,
            "collect": self._collect(),
            "recipient": self._recipient(),
        }
        self._account.take_secret(self._user.line, self._value("password"))
        self._account.place = self._place()
        self._rest()
        return self._account

    def _note(self, line: int, message: str) -> None:
        self._account.note(line, message)

    def _on(self, name: str) -> bool:
        return name in self._options and self._options[name].on

    def _values(self, name: str) -> tuple[str, ...]:
        return self._options[name].values if self._on(name) else ()

    def _value(self, name: str) -> str | None:
        values = self._values(name)
        return values[-1] if values else None

    def _line(self, name: str) -> int:
        return self._options[name].line if name in self._options else self._user.line

    def _protocol(self) -> str | None:
        named = (self._value("protocol") or "auto").lower()
        if named == "auto":
            self._note(
                self._line("protocol"),
                "the protocol is found out by fetchmail: imap is declared, change it where the "
                "server has only POP3",
            )
            return "imap"
        if named == "apop":
            self._note(
                self._line("protocol"), "APOP is not carried over: the password goes over TLS"
            )
        return {
            "imap": "imap",
            "imap4": "imap",
            "imap4rev1": "imap",
            "pop3": "pop3",
            "apop": "pop3",
        }.get(named)

    def _connection(self, protocol: str) -> dict[str, Any]:
        implicit = self._on("ssl")
        port = self._value("port")
        number = _PORTS.get(port or "") or whole_number(port or "")
        if port and number is None:
            self._note(self._line("port"), f"the port `{port}` is not known: declare its number")
        if not implicit and number in {993, 995}:
            self._note(
                self._line("port"),
                f"at port {number} TLS begins at once with most servers: declare `tls: implicit` "
                "there",
            )
        tls = "implicit" if implicit else "none" if self._is_plain() else "starttls"
        if tls == "starttls":
            self._note(
                self._line("protocol"),
                "TLS was used where the server offered it: here STARTTLS is required",
            )
        elif self._value("sslproto"):
            self._note(
                self._line("sslproto"), "`sslproto` is not carried over: TLS 1.2 or newer is used"
            )
        if "sslcertck" in self._options and not self._on("sslcertck"):
            self._note(
                self._line("sslcertck"),
                "certificates are always verified here: declare `caFile` or `fingerprint` where "
                "the system's authorities do not know the server's",
            )
        return {
            "port": None if number == _USUAL[protocol, implicit] else number,
            "tls": None if tls == "implicit" else tls,
        }

    def _timeout(self) -> str | None:
        seconds = self._number("timeout")
        if seconds is None:
            return None
        declared, note = nearest_timeout(seconds)
        if note:
            self._note(self._line("timeout"), note)
        return declared

    def _is_plain(self) -> bool:
        return "sslproto" in self._options and self._value("sslproto") == ""

    def _collect(self) -> dict[str, Any]:
        """Return the `collect` section. fetchmail has no limits by default."""
        size, count = self._number("limit"), self._number("fetchlimit")
        return {
            "mode": self._mode(),
            "interval": self._interval(),
            "limit": count or 0,
            "maxMessageSize": str(size) if size else UNLIMITED,
            "push": True if self._on("idle") else None,
        }

    def _mode(self) -> str | None:
        keep, everything = self._on("keep"), self._on("fetchall")
        if keep and everything:
            self._note(
                self._line("fetchall"),
                "`keep` with `fetchall` collects everything every time: new-keep collects each "
                "message once",
            )
        if not keep and not everything:
            self._note(
                self._user.line,
                "without `fetchall` what was read elsewhere stays on the server: new-delete "
                "collects and deletes that too",
            )
        return None if keep else "all-delete" if everything else "new-delete"

    def _interval(self) -> str | None:
        cycle = self._settings["daemon"].values if "daemon" in self._settings else ()
        seconds = (whole_number(cycle[0]) if cycle else None) or 0
        return (
            nearest_interval(seconds * max(self._number("interval") or 1, 1)) if seconds else None
        )

    def _number(self, name: str) -> int | None:
        value = self._value(name)
        return None if value is None else whole_number(value[:12])

    def _recipient(self) -> dict[str, Any]:
        if (
            len(self._local) <= 1
            and not self._wildcard
            and not any(local for _, local in self._local)
        ):
            only = self._value("smtpname") or (
                self._local[0][0] if self._local else self._name.partition("@")[0]
            )
            return {"forwardTo": address(only, self._domain)}
        return {"detect": self._detect()}

    def _detect(self) -> dict[str, Any]:
        """Return the recipients of a multidrop mailbox. Addresses of `localdomains` are local."""
        line, domains = self._user.line, tuple(dict.fromkeys(self._values("local")))
        to = domains[0] if domains else self._domain
        if not domains:
            domains = (self._name.partition("@")[2] or self._host,)
            self._note(
                line, f"without `localdomains` the addresses of {domains[0]} are taken for ours"
            )
        else:
            self._note(
                line,
                f"addresses of {', '.join(domains)} are delivered as they stand; those of "
                "subdomains are not taken for ours: add them to `from`",
            )
        if len(domains) > 1:
            self._note(
                line,
                f"addresses of {', '.join(domains[1:])} are delivered to {to}: make a collector "
                "for each domain where that is wrong",
            )
        postmaster = self._settings.get("postmaster")
        self._note(line, "a multidrop mailbox: `mailcollector route` shows who would get a message")
        return {
            "from": domains,
            "to": to,
            **self._mailboxes(),
            "header": self._envelope(),
            "stripPrefix": self._value("qvirtual"),
            "default": address(postmaster.values[0], self._domain)
            if postmaster and postmaster.values
            else None,
        }

    def _mailboxes(self) -> dict[str, Any]:
        """Return aliases and mailboxes, with names reduced to their local parts."""
        names = [
            (remote.partition("@")[0], local.partition("@")[0]) for remote, local in self._local
        ]
        if any("@" in remote or "@" in local for remote, local in self._local):
            self._note(
                self._user.line, "of the local names that are addresses the part before @ counts"
            )
        aliases = {remote: local for remote, local in names if local}
        plain = [remote for remote, local in names if not local]
        # An address of a local domain does not need a name.
        everybody = self._wildcard or self._on("local")
        mailboxes = None if everybody else list(dict.fromkeys([*plain, *aliases.values()]))
        return {"aliases": aliases, "mailboxes": mailboxes}

    def _envelope(self) -> str | None:
        values = self._values("envelope")
        if len(values) > 1 and values[1] not in {"0", ""}:
            self._note(
                self._line("envelope"),
                f"the topmost {values[0]} decides, fetchmail passed over {values[1]}",
            )
        header = values[0].strip().rstrip(":") if values else ""
        return header if header and header != "Received" else None

    def _place(self) -> dict[str, Any] | None:
        if self._on("mda") or self._on("bsmtp"):
            return None
        hosts = self._values("smtphost") or ("localhost",)
        if len(hosts) > 1:
            self._note(self._line("smtphost"), f"only the first host, {hosts[0]}, is carried over")
        host, _, port = (
            hosts[0].partition("/") if not hosts[0].startswith("/") else (hosts[0], "", "")
        )
        if host.startswith("/"):
            return {"lmtp": {"socket": host}}
        number = whole_number(port)
        return (
            {"lmtp": {"host": host, "port": number or 24}}
            if self._on("lmtp")
            else {"smtp": {"host": host, "port": number}}
        )

    def _rest(self) -> None:
        """Add notes on all options without a counterpart."""
        for name, option in self._options.items():
            if (
                name in _SAID
                or (not option.on and name in _HARMLESS_OFF)
                or (name == "sslcertck" and option.on)
            ):
                continue
            why = _WHY.get(name)
            self._note(option.line, f"`{name}` is not carried over" + (f": {why}" if why else ""))
