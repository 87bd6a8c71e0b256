"""A private Dovecot 2.3 on loopback: real IMAP, POP3 and LMTP for the tests and for the demo.

All its files lie in one temporary directory with a short path (unix sockets allow about 100 bytes). Runs as root, or
as any user who then owns the mail. Debian packages: dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd.
"""

from __future__ import annotations

import grp
import hashlib
import itertools
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

HOST = "localhost"
PASSWORD = "correct-horse-battery"
PORTS = ("imap", "imaps", "pop3", "pop3s", "lmtp")
MISSING = ("Dovecot is not installed: apt-get install dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd "
           "(`make test` and `make demo` do that)")

_COMMON = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap pop3 lmtp
listen = {listen}
ssl = yes
ssl_cert = <{root}/server.pem
ssl_key = <{root}/server.pem
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_username_chars =
auth_username_format = %u
auth_failure_delay = 0
passdb {{
  driver = static
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={root}/mail/%u allow_all_users=yes
}}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:~/Maildir
mail_privileged_group =
mail_max_userip_connections = 1000
lmtp_rcpt_check_quota = no
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@localhost
}}
"""
_LOGIN_PROCESSES = """
service imap-login {
  service_count = 0
  process_min_avail = 1
}
service pop3-login {
  service_count = 0
  process_min_avail = 1
}
"""
_OAUTH2 = """
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {root}/oauth2.conf
}}
"""
_TOKENS = """
introspection_url = {url}
introspection_mode = get
username_attribute = username
active_attribute = active
active_value = true
"""
_UNPRIVILEGED = """
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """Start with `with Dovecot() as server:`. Any user name logs in with `password`; mail is created on demand."""

    host = HOST
    password = PASSWORD

    def __init__(self, mechanisms: str = "plain login", token_info: str | None = None, hosts: Sequence[str] = (),
                 more: str = "") -> None:
        """`mechanisms` of SASL; `token_info`: the URL that tells whose access token one is; `hosts`: more loopback
        addresses to listen on; `more` of its configuration."""
        self._mechanisms = mechanisms
        self._addresses = ("127.0.0.1", *hosts)
        self._more = more
        self._token_info = token_info
        program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError(MISSING)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._privileged = os.getuid() == 0
        mail = pwd.getpwnam("mail") if self._privileged else pwd.getpwuid(os.getuid())
        self._owner = (mail.pw_uid, mail.pw_gid)
        self.ports: dict[str, int] = {}
        """Of imap, imaps, pop3, pop3s and lmtp; the plain ones offer STARTTLS or STLS."""

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="dc", dir="/tmp"))
        try:
            self._lay_out()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    @property
    def ca_file(self) -> Path:
        return self.root / "ca.pem"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate (DER), in hex."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self._certificate)).hexdigest()

    @property
    def log(self) -> str:
        path = self.root / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""

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

    def deliver(self, user: str, messages: Iterable[bytes], folder: str = "INBOX", flags: str = "") -> list[str]:
        """Put messages into a folder in this order, as Dovecot stores them (LF line ends); their unique file names.

        Without `flags` they are new and \\Recent; `flags` are the letters of Maildir (S seen, R answered, F flagged).
        """
        path = self.create(user, folder)
        return [self._write(path, message.replace(b"\r\n", b"\n"), flags) for message in messages]

    def messages(self, user: str, folder: str = "INBOX") -> list[bytes]:
        """What a folder holds, oldest delivery first, as stored."""
        return [path.read_bytes() for path in self._files(user, folder)]

    def flags(self, user: str, folder: str = "INBOX") -> dict[str, str]:
        """Unique name → "new", or the Maildir flag letters once a mail program has seen the message."""
        return {path.name.split(":")[0]: "new" if path.parent.name == "new" else path.name.partition(":2,")[2]
                for path in self._files(user, folder)}

    def restart(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Stop it, do something, and start it again, on other ports; sessions are cut."""
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
        uid, gid = self._owner
        text = _COMMON.format(root=self.root, password=PASSWORD, uid=uid, gid=gid, mechanisms=self._mechanisms,
                              listen=" ".join(self._addresses), **self.ports)
        text += _LOGIN_PROCESSES + self._more
        if self._token_info is not None:
            (self.root / "oauth2.conf").write_text(_TOKENS.format(url=self._token_info))
            text += _OAUTH2.format(root=self.root)
        if not self._privileged:
            text += _UNPRIVILEGED.format(user=pwd.getpwuid(uid).pw_name, group=grp.getgrgid(os.getgid()).gr_name)
        path = self.root / "dovecot.conf"
        path.write_text(text)
        return path

    def _start(self, attempts: int = 5) -> None:
        """Another program may take a free port before Dovecot does: then try others."""
        for attempt in range(1, attempts + 1):
            config = self._configure()
            # Without this server's starter nobody would stop it: it goes when the starter dies.
            with (self.root / "stderr").open("wb") as complaints:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", self._program, "-F", "-c", config],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints)
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


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
