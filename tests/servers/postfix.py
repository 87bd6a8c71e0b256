"""A private Postfix on loopback: real SMTP with SMTPUTF8, STARTTLS and virtual mailboxes, delivered
into Maildirs.

All its files lie in one temporary directory; the system's own Postfix is not touched. Its master
runs as root only. Debian package: postfix.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import trustme

from tests.servers.loopback import HOST, free_ports
from tests.servers.private_server import PrivateServer

PROGRAMS = Path("/usr/lib/postfix/sbin")
MISSING = (
    "Postfix is not installed, or this is not root: apt-get install postfix (`make test` does that)"
)
_MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/postfix.log
maillog_file_prefixes = {root}
mail_owner = {owner}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.test
mydestination =
mynetworks =
alias_maps =
local_recipient_maps =
smtputf8_enable = yes
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = texthash:{root}/mailboxes
virtual_mailbox_base = {root}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
message_size_limit = 10485760
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = {root}/server.pem
smtpd_tls_key_file = {root}/server.pem
smtpd_peername_lookup = no
"""
_MASTER = """
{port} inet n - n - - smtpd
{ports} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(PrivateServer):
    """Start with `with Postfix(["раз@икс.рф"]) as server:`. Takes mail for these mailboxes, refuses
    every other one of their domains as unknown (550 5.1.1), and never relays."""

    name = "pf"
    log_file = "postfix.log"
    host = HOST

    def __init__(self, mailboxes: Sequence[str]) -> None:
        if not (PROGRAMS / "master").exists() or os.getuid() != 0:
            raise RuntimeError(MISSING)
        self._mailboxes = mailboxes
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.tls_port = free_ports(2)
        """SMTP with STARTTLS, and with TLS from the first octet."""

    def maildir(self, mailbox: str) -> Path:
        return self.root / "mail" / mailbox

    def messages(self, mailbox: str, count: int, patience: float = 30) -> list[bytes]:
        """What a mailbox holds once `count` messages have come; AssertionError if they do not
        within `patience` s."""
        deadline = time.monotonic() + patience
        while len(found := sorted(self.maildir(mailbox).glob("new/*"))) < count:
            assert time.monotonic() < deadline, (
                f"{mailbox} has {len(found)} of {count} messages\n{self.log[-4000:]}"
            )
            time.sleep(0.02)
        return [path.read_bytes() for path in found]

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None
        shutil.rmtree(self.root, ignore_errors=True)

    def _lay_out(self) -> None:
        owner, mail = pwd.getpwnam("postfix"), pwd.getpwnam("mail")
        self.root.chmod(0o755)
        for name, uid in (
            ("queue", 0),
            ("data", owner.pw_uid),
            ("mail", mail.pw_uid),
            ("config", 0),
        ):
            (self.root / name).mkdir(mode=0o755)
            os.chown(self.root / name, uid, -1)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        (self.root / "server.pem").touch(0o600)
        authority.issue_cert(HOST, "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            self.root / "server.pem"
        )
        (self.root / "mailboxes").write_text(
            "".join(f"{each} {each}/\n" for each in self._mailboxes)
        )
        domains = sorted({mailbox.rpartition("@")[2] for mailbox in self._mailboxes})
        (self.root / "config" / "main.cf").write_text(
            _MAIN.format(
                root=self.root,
                owner=owner.pw_name,
                domains=", ".join(domains),
                uid=mail.pw_uid,
                gid=mail.pw_gid,
            )
        )
        (self.root / "config" / "master.cf").write_text(
            _MASTER.format(port=f"127.0.0.1:{self.port}", ports=f"127.0.0.1:{self.tls_port}")
        )
        self._lay_out_queue(owner.pw_uid)

    def _lay_out_queue(self, owner: int) -> None:
        """What `postfix check` would make, without its look at the system's files."""
        drop = grp.getgrnam("postdrop").gr_gid
        for name, mode, gid in (
            ("active", 0o700, -1),
            ("bounce", 0o700, -1),
            ("corrupt", 0o700, -1),
            ("defer", 0o700, -1),
            ("deferred", 0o700, -1),
            ("flush", 0o700, -1),
            ("hold", 0o700, -1),
            ("incoming", 0o700, -1),
            ("private", 0o700, -1),
            ("saved", 0o700, -1),
            ("trace", 0o700, -1),
            ("maildrop", 0o730, drop),
            ("public", 0o710, drop),
        ):
            path = self.root / "queue" / name
            path.mkdir()
            path.chmod(mode)
            os.chown(path, owner, gid)
        (self.root / "queue" / "pid").mkdir(mode=0o755)

    def _start(self) -> None:
        # Without this server's starter nobody would stop it: it goes when the starter dies.
        with (self.root / "stderr").open("wb") as complaints:
            self._process = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "TERM",
                    PROGRAMS / "master",
                    "-c",
                    self.root / "config",
                    "-d",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"Postfix did not start:\n{(self.root / 'stderr').read_text()}{self.log}"
                )
            time.sleep(0.02)

    def _greets(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with (
                socket.create_connection(("127.0.0.1", self.tls_port), 10) as raw,
                context.wrap_socket(raw, server_hostname=HOST) as encrypted,
            ):
                return encrypted.recv(4).startswith(b"220")
        except OSError:
            return False
