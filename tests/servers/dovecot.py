"""A private Dovecot (2.3 or 2.4) on loopback: real IMAP, POP3 and LMTP for the tests and for the
demo.

All its files lie in one temporary directory with a short path (unix sockets allow about 100 bytes).
Runs as root, or as any user who then owns the mail. Debian packages: dovecot-core dovecot-imapd
dovecot-pop3d dovecot-lmtpd.
"""

from __future__ import annotations

import grp
import hashlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import trustme

from tests.servers.dovecot_settings import TokenInfo, Version, Wanted, write
from tests.servers.loopback import HOST, free_ports
from tests.servers.private_server import PrivateServer

PASSWORD = "correct-horse-battery"
PORTS = ("imap", "imaps", "pop3", "pop3s", "lmtp")
MISSING = (
    "Dovecot is not installed: apt-get install dovecot-core dovecot-imapd dovecot-pop3d "
    "dovecot-lmtpd (`make test` and `make demo` do that)"
)


class Dovecot(PrivateServer):
    """Start with `with Dovecot() as server:`. Any user name logs in with `password`; mail is
    created on demand."""

    name = "dc"
    log_file = "dovecot.log"
    host = HOST
    password = PASSWORD

    def __init__(
        self,
        mechanisms: str = "plain login",
        token_info: TokenInfo | None = None,
        hosts: Sequence[str] = (),
        more: str = "",
    ) -> None:
        """`mechanisms` of SASL; `token_info`: where it asks whose an access token is; `hosts`: more
        loopback addresses to listen on; `more` of its configuration, in words of both versions."""
        self._mechanisms = mechanisms
        self._addresses = ("127.0.0.1", *hosts)
        self._more = more
        self._token_info = token_info
        program = _program("dovecot")
        if program is None:
            raise RuntimeError(MISSING)
        self._program = program
        self.version = _version(program)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._privileged = os.getuid() == 0
        mail = pwd.getpwnam("mail") if self._privileged else pwd.getpwuid(os.getuid())
        self._owner = (mail.pw_uid, mail.pw_gid)
        self.ports: dict[str, int] = {}
        """Of imap, imaps, pop3, pop3s and lmtp; the plain ones offer STARTTLS or STLS."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate (DER), in hex."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self._certificate)).hexdigest()

    def logins(self, user: str) -> list[str]:
        """The lines that the log has so far about this user's logins; Dovecot writes them in its
        own time."""
        words = (f"Login: user=<{user}>", f"Logged in: user=<{user}>")  # 2.3's and 2.4's
        return [line for line in self.log.splitlines() if any(word in line for word in words)]

    def maildir(self, user: str, folder: str = "INBOX") -> Path:
        """The Maildir of a folder; `/` is its delimiter here (Dovecot's Maildir++ writes `.`)."""
        home = self.root / "mail" / user / "Maildir"
        return home if folder.upper() == "INBOX" else home / ("." + folder.replace("/", "."))

    def create(self, user: str, folder: str = "INBOX") -> Path:
        """Make an empty folder, as Dovecot would."""
        path = self.maildir(user, folder)
        if not all((path / name).is_dir() for name in ("cur", "new", "tmp")):
            for name in ("cur", "new", "tmp"):  # a login that found none makes only some of them
                (path / name).mkdir(parents=True, mode=0o700, exist_ok=True)
            if path != self.maildir(user):
                (path / "maildirfolder").touch(0o600)
            self._own(self.root / "mail" / user)
        return path

    def deliver(
        self, user: str, messages: Iterable[bytes], folder: str = "INBOX", flags: str = ""
    ) -> list[str]:
        """Put messages into a folder in this order, as Dovecot stores them (LF line ends); their
        unique file names.

        Without `flags` they are new and \\Recent; `flags` are the letters of Maildir (S seen, R
        answered, F flagged).
        """
        path = self.create(user, folder)
        return [self._write(path, message.replace(b"\r\n", b"\n"), flags) for message in messages]

    def messages(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """What a folder holds, oldest delivery first, as stored."""
        return [path.read_bytes() for path in self._files(user, folder)]

    def flags(self, user: str, folder: str = "INBOX") -> dict[str, str]:
        """Unique name → "new", or the Maildir flag letters once a mail program has seen the
        message."""
        return {
            path.name.split(":")[0]: "new"
            if path.parent.name == "new"
            else path.name.partition(":2,")[2]
            for path in self._files(user, folder)
        }

    def restart(
        self, meanwhile: Callable[[], None] = lambda: None, *, how: signal.Signals = signal.SIGTERM
    ) -> None:
        """Stop it, do something, and start it again, on other ports; sessions are cut. SIGKILL: all
        its processes die where they are."""
        if how == signal.SIGKILL:
            self._crash()
        self._halt()
        meanwhile()
        (self.root / "dovecot.log").unlink()
        self._start()

    def stop(self) -> None:
        self._halt()
        shutil.rmtree(self.root, ignore_errors=True)

    def _halt(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _crash(self) -> None:
        assert self._process is not None
        task = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in [self._process.pid, *map(int, task.read_text().split())]:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def _files(self, user: str, folder: str) -> list[Path]:
        path = self.maildir(user, folder)
        return sorted([*path.glob("new/*"), *path.glob("cur/*")], key=lambda file: file.name)

    def _write(self, path: Path, message: bytes, flags: str) -> str:
        number = next(self._numbers)
        name = f"{1_700_000_000 + number}.M{number:06}P{os.getpid()}.test"
        tmp = path / "tmp" / name
        tmp.write_bytes(message)
        tmp.chmod(0o600)
        if self._privileged:
            os.chown(tmp, *self._owner)
        tmp.rename(path / "cur" / f"{name}:2,{flags}" if flags else path / "new" / name)
        return name

    def _own(self, path: Path) -> None:
        if self._privileged:
            for found in (path, *path.rglob("*")):
                os.chown(found, *self._owner)

    def _lay_out(self) -> None:
        self.root.chmod(0o755)
        (self.root / "mail").mkdir()
        self._own(self.root / "mail")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        issued = authority.issue_cert(HOST, *self._addresses)
        self._certificate = issued.cert_chain_pems[0].bytes().decode()
        (self.root / "server.pem").touch(0o600)
        issued.private_key_and_cert_chain_pem.write_to_path(self.root / "server.pem")

    def _configure(self) -> Path:
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        user = None
        if not self._privileged:
            user = (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
        return write(
            Wanted(
                self.root,
                self._addresses,
                self.ports,
                self._owner,
                PASSWORD,
                self._mechanisms,
                self._token_info,
                user,
                self._more,
            ),
            self.version,
        )

    def _start(self, attempts: int = 5) -> None:
        """Another program may take a free port before Dovecot does: then try others."""
        for attempt in range(1, attempts + 1):
            config = self._configure()
            # Without this server's starter nobody would stop it: it goes when the starter dies.
            with (self.root / "stderr").open("wb") as complaints:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", self._program, "-F", "-c", config],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                )
            if self._listens():
                return
            complaint = (self.root / "stderr").read_text(errors="replace") + self.log
            if attempt == attempts or "Address already in use" not in complaint:
                raise RuntimeError(f"Dovecot did not start:\n{complaint}")

    def _listens(self, patience: float = 30) -> bool:
        """Whether every port greets within `patience` seconds; False when Dovecot ended instead."""
        assert self._process is not None
        deadline = time.monotonic() + patience
        for name in PORTS:
            while not self._greets(self.ports[name], tls=name.endswith("s")):
                if self._process.poll() is not None:
                    return False
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Dovecot's {name} port does not answer:\n{self.log}")
                time.sleep(0.02)
        return True

    def _greets(self, port: int, *, tls: bool) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as plain:
                return tls or bool(plain.recv(1))
        except OSError:
            return False


def installed() -> bool:
    """Whether everything is there that this needs."""
    return all(map(_program, ("dovecot", "setpriv"))) and all(
        Path("/usr/lib/dovecot", name).exists() for name in ("imap", "pop3", "lmtp")
    )


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _version(program: str) -> Version:
    told = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    major, minor = told.split(".")[:2]
    return int(major), int(minor)
