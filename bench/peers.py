"""Other programs that do the same, each with its defaults, but that mail is kept on the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROTOCOLS = ("imap", "imaps", "pop3", "pop3s")


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox on the server, and where a program keeps its things (`work`) and puts the mail
    (`maildir`)."""

    protocol: str
    port: int
    user: str
    password: str
    ca_file: Path
    work: Path

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("s")

    @property
    def imap(self) -> bool:
        return self.protocol.startswith("imap")

    @property
    def maildir(self) -> Path:
        return self.work / "Maildir"

    def write(self, name: str, text: str) -> str:
        path = self.work / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return str(path)


Command = list[str]


@dataclass(frozen=True, slots=True)
class Peer:
    """`command` writes the configuration and gives what to run. `makes`: it makes the Maildir
    itself."""

    program: str
    command: Callable[[Account], Command]
    protocols: tuple[str, ...] = PROTOCOLS
    makes: bool = False


def _mpop(account: Account) -> Command:
    tls = f"tls on\ntls_trust_file {account.ca_file}" if account.tls else "tls off\nauth user"
    return [
        "mpop",
        "--quiet",
        "-C",
        account.write(
            "mpoprc",
            f"""\
account bench
host localhost
port {account.port}
user {account.user}
password {account.password}
{tls}
tls_starttls off
keep on
uidls_file {account.work}/uidls
delivery maildir {account.maildir}
""",
        ),
        "bench",
    ]


def _mbsync(account: Account) -> Command:
    tls = f"SSLType IMAPS\nCertificateFile {account.ca_file}" if account.tls else "SSLType None"
    return [
        "mbsync",
        "-q",
        "-c",
        account.write(
            "mbsyncrc",
            f"""\
IMAPStore there
Host localhost
Port {account.port}
User {account.user}
Pass {account.password}
AuthMechs LOGIN
{tls}

MaildirStore here
Path {account.work}/
Inbox {account.maildir}

Channel bench
Far :there:INBOX
Near :here:INBOX
Sync Pull New
SyncState {account.work}/
""",
        ),
        "bench",
    ]


def _fetchmail(account: Account) -> Command:
    deliver = account.write(
        "procmailrc", f"ORGMAIL=/dev/null\nLOGFILE=\nDEFAULT={account.maildir}/\n"
    )
    tls = (
        "ssl no sslcertck" if account.tls else 'sslproto ""'
    )  # it wants a common name, which certificates lack today
    kind, uidl = ("IMAP", "") if account.imap else ("POP3", "uidl")
    return [
        "fetchmail",
        "--nodetach",
        "-f",
        account.write(
            "fetchmailrc",
            f"""\
set no bouncemail
set idfile "{account.work}/ids"
set pidfile "{account.work}/pid"
poll localhost service {account.port} protocol {kind} auth password {uidl}
  user "{account.user}" password "{account.password}" is "mail" here keep no rewrite {tls}
  mda "procmail {deliver}"
""",
        ),
    ]


def _getmail(account: Account) -> Command:
    kind = f"Simple{'IMAP' if account.imap else 'POP3'}{'SSL' if account.tls else ''}Retriever"
    more = ('mailboxes = ("INBOX",)\n' if account.imap else "") + (
        f"ca_certs = {account.ca_file}\n" if account.tls else ""
    )
    return [
        "getmail",
        "--getmaildir",
        str(account.work),
        "--rcfile",
        account.write(
            "getmailrc",
            f"""\
[retriever]
type = {kind}
server = localhost
port = {account.port}
username = {account.user}
password = {account.password}
{more}
[destination]
type = Maildir
path = {account.maildir}/
[options]
read_all = false
verbose = 0
""",
        ),
    ]


def _floor(sync: str) -> Callable[[Account], Command]:
    def command(account: Account) -> Command:
        return [
            sys.executable,
            str(Path(__file__).with_name("floor.py")),
            account.protocol,
            str(account.port),
            account.user,
            account.password,
            str(account.ca_file),
            str(account.maildir),
            sync,
        ]

    return command


PEERS = {
    "mpop": Peer("mpop", _mpop, PROTOCOLS[2:]),
    "mbsync": Peer("mbsync", _mbsync, PROTOCOLS[:2]),
    "fetchmail+procmail": Peer("fetchmail", _fetchmail),
    "getmail6": Peer("getmail", _getmail),
}
FLOORS = {
    f"floor, {sync}": Peer(sys.executable, _floor(word), makes=True)
    for word, sync in (
        ("none", "no fsync"),
        ("each", "each fsynced"),
        ("batch", "fsync in batches"),
    )
}
