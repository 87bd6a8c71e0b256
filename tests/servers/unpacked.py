"""Real servers that Debian lets nobody install beside Dovecot: Courier, Cyrus and GNU mailutils,
private, on loopback.

`scripts/unpack-servers` (a part of `make test`) puts their programs below .servers/. Each is a
context manager with `port(protocol)`, `user`, `password` and `deliver`, and holds one mailbox.
"""

from __future__ import annotations

import imaplib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

from tests.servers.loopback import HOST, free_ports
from tests.servers.scripted import Authority

ROOT = Path(__file__).parents[2] / ".servers"
PASSWORD = "correct-horse"
_PATIENCE = 20.0


def program(pattern: str) -> str:
    """A program of a package; the one path that fits."""
    found = sorted(ROOT.glob(pattern))
    assert found, f"{pattern} is missing: scripts/unpack-servers"
    return str(found[0])


def environment(**more: str) -> dict[str, str]:
    """Where the packages' own libraries are found."""
    libraries = ":".join(str(path) for path in ROOT.glob("usr/lib/*-linux-gnu*"))
    return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries, **more}


class Server:
    """Its files are below a temporary directory of a short path."""

    user = "me"
    password = PASSWORD
    host = HOST
    tls: Literal["none", "implicit"] = "none"
    ca_file: str | None = None

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mail", dir="/tmp"))
        self.ports = dict(zip(("imap", "pop3"), free_ports(2), strict=True))
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self.start()
            for port in self.ports.values():
                self._await(port)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for process in self._started:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def settle(self) -> None:
        """Return once the sessions before have ended at the server too."""

    def deliver(self, text: bytes) -> None: ...

    def run(self, *arguments: str, **more: str) -> None:
        with (self.directory / "log").open("ab") as log:
            self._started.append(
                subprocess.Popen(
                    arguments,
                    env=environment(**more),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    process_group=0,  # Cyrus' master ends its whole group, another test's Cyrus too
                )
            )

    def _await(self, port: int) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                with socket.create_connection((HOST, port), 1):
                    return
            except OSError:
                assert time.monotonic() < until, (self.directory / "log").read_text(
                    errors="replace"
                )
                time.sleep(0.02)


class Courier(Server):
    """Courier's programs as they run behind its login: the mailbox is open at once (PREAUTH), and
    by POP3 a few lines of ours take the login."""

    def start(self) -> None:
        self.maildir = self.directory / "Maildir"
        self._numbers = itertools.count()
        self._sessions: list[threading.Thread] = []
        for name in ("cur", "new", "tmp"):
            (self.maildir / name).mkdir(parents=True)
        self._listeners = [socket.create_server((HOST, port)) for port in self.ports.values()]
        for protocol, listener in zip(self.ports, self._listeners, strict=True):
            threading.Thread(target=self._accept, args=(protocol, listener), daemon=True).start()

    def stop(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def settle(self) -> None:
        # its answer to QUIT comes before it removes files
        for session in self._sessions:
            session.join(_PATIENCE)
            assert not session.is_alive()

    def deliver(self, text: bytes) -> None:
        # a name is never used twice: the program of the session before may still be removing files
        number = next(self._numbers)
        draft = self.maildir / "tmp" / f"{1700000000 + number}.{number}.host"
        draft.write_bytes(text.replace(b"\r\n", b"\n"))
        draft.rename(self.maildir / "new" / draft.name)

    def _accept(self, protocol: str, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            session = threading.Thread(target=self._serve, args=(protocol, client), daemon=True)
            session.start()
            self._sessions.append(session)

    def _serve(self, protocol: str, client: socket.socket) -> None:
        with client:
            if protocol == "pop3" and not self._logged_in(client):
                return
            name = "usr/bin/imapd" if protocol == "imap" else "usr/lib/courier/courier/courierpop3d"
            capability = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE"
            subprocess.run(
                [program(name), str(self.maildir)],
                stdin=client.fileno(),
                stdout=client.fileno(),
                stderr=subprocess.DEVNULL,
                cwd=self.directory,
                check=False,
                env=environment(
                    AUTHENTICATED=self.user, AUTHADDR=self.user, IMAP_CAPABILITY=capability
                ),
            )

    def _logged_in(self, client: socket.socket) -> bool:
        """PASS is answered by Courier."""
        reply, received = b"+OK Hello there.\r\n", b""
        with suppress(ConnectionError):  # whoever only looks whether somebody listens
            while not received.startswith(b"PASS "):
                client.sendall(reply)
                received = client.recv(4096)
                if not received:
                    return False
                reply = (
                    b"-ERR Invalid command.\r\n"
                    if received.startswith(b"CAPA")
                    else b"+OK Password required.\r\n"
                )
            return True
        return False


class Mailutils(Server):
    """GNU mailutils over an mbox, with TLS. It offers SCRAM, which no user of a password file can
    log in with, and its completion of AUTHENTICATE ends with a lone LF."""

    user = "me@example.org"
    tls = "implicit"
    _CONFIGURATION: ClassVar[str] = """\
mode daemon;
foreground yes;
server 127.0.0.1:{port} {{
  single-process no;
  tls-mode connection;
  tls {{ ssl-certificate-file {directory}/server.pem; ssl-key-file {directory}/server.key; }};
}};
auth {{ authentication generic:virtdomain; authorization virtdomain:system; }};
virtdomain {{ passwd-dir {directory}/domains; }};
logging {{ syslog no; }};
"""

    def start(self) -> None:
        home = self.directory / "home"
        for path in (home, self.directory / "domains"):
            path.mkdir()
        owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        encrypted = subprocess.run(
            ["openssl", "passwd", "-1", PASSWORD], check=True, capture_output=True, text=True
        )
        (self.directory / "domains" / "example.org").write_text(
            f"me:{encrypted.stdout.strip()}:{owner.pw_uid}:{owner.pw_gid}:Me:{home}:/bin/sh\n"
        )
        authority = Authority(self.directory)
        self.ca_file = authority.ca_file
        issued = authority.issue(HOST, "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(self.directory / "server.pem"))
        issued.private_key_pem.write_to_path(str(self.directory / "server.key"))
        (self.directory / "server.key").chmod(0o600)
        self.mbox = home / "INBOX"
        self.mbox.touch()
        if os.getuid() == 0:
            for path in (self.directory, home, self.mbox):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        for protocol, name in (("imap", "imap4d"), ("pop3", "pop3d")):
            configuration = self.directory / f"{name}.conf"
            configuration.write_text(
                self._CONFIGURATION.format(port=self.ports[protocol], directory=self.directory)
            )
            self.run(program(f"usr/sbin/{name}"), "--no-config", f"--config-file={configuration}")

    def deliver(self, text: bytes) -> None:
        with self.mbox.open("ab") as mbox:
            mbox.write(
                b"From a@b.example Fri Nov 27 10:00:00 2026\n"
                + text.replace(b"\r\n", b"\n")
                + b"\n"
            )


class Cyrus(Server):
    """Cyrus, whole: its master, with the password in a sasldb. It never runs as root, and so from a
    copy: a checkout may lie where only root may look."""

    def start(self) -> None:
        owner = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        copies, libraries = self.directory / "bin", self.directory / "lib"
        copies.mkdir()
        libraries.mkdir()
        for name in ("master", "imapd", "pop3d"):
            shutil.copy(program(f"usr/lib/cyrus/bin/{name}"), copies)
        for library in ROOT.glob("usr/lib/*-linux-gnu*/libcyrus*"):
            shutil.copy(library, libraries)
        for name in ("conf/proc", "conf/socket", "conf/db", "conf/log", "spool"):
            (self.directory / name).mkdir(parents=True)
        (self.directory / "imapd.conf").write_text(f"""\
configdirectory: {self.directory}/conf
partition-default: {self.directory}/spool
defaultpartition: default
admins: cyrus
virtdomains: no
altnamespace: no
unixhierarchysep: no
allowplaintext: yes
failedloginpause: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {self.directory}/sasldb2
sasl_mech_list: PLAIN
duplicate_db: skiplist
autocreate_quota: 0
autocreate_post: yes
autocreate_users: {self.user}
cyrus_user: {owner}
""")
        services = "\n".join(
            f'  {protocol} cmd="{copies / name} -C {self.directory}/imapd.conf" '
            f'listen="{HOST}:{self.ports[protocol]}" prefork=0 proto=tcp4'
            for protocol, name in (("imap", "imapd"), ("pop3", "pop3d"))
        )
        (self.directory / "cyrus.conf").write_text(
            f"START {{\n}}\nSERVICES {{\n{services}\n}}\nEVENTS {{\n}}\n"
        )
        subprocess.run(
            [
                "/usr/sbin/saslpasswd2",
                "-p",
                "-c",
                "-f",
                str(self.directory / "sasldb2"),
                "-u",
                socket.gethostname(),
                self.user,
            ],
            input=PASSWORD.encode(),
            check=True,
        )
        if os.getuid() == 0:
            for path in (self.directory, *self.directory.rglob("*")):
                shutil.chown(path, owner)
        self.run(
            str(copies / "master"),
            "-C",
            f"{self.directory}/imapd.conf",
            "-M",
            f"{self.directory}/cyrus.conf",
            "-p",
            f"{self.directory}/pid",
            "-D",
            CYRUS_USER=owner,
            LD_LIBRARY_PATH=str(libraries),
        )

    def deliver(self, text: bytes) -> None:
        with imaplib.IMAP4(HOST, self.ports["imap"]) as client:
            client.login(self.user, PASSWORD)
            status, told = client.append("INBOX", "", "", text)
            assert status == "OK", told
