"""Real servers that come as packages of Python and node: pymap, Twisted's and Hoodiecrow, private,
on loopback.

`scripts/test-tools` (a part of `make test`) installs them into .tools/. Each is a context manager
like those of `unpacked`, and holds one mailbox.
"""

from __future__ import annotations

import imaplib
import json
from pathlib import Path
from typing import ClassVar

from tests.servers.loopback import HOST
from tests.servers.unpacked import PASSWORD, Server
from tests.tools import MODULES, NODE, PYTHON, require

_HERE = Path(__file__).parent


class Packaged(Server):
    protocols: ClassVar[tuple[str, ...]] = ("imap",)

    def __init__(self) -> None:
        require()
        super().__init__()
        self.ports = {protocol: self.ports[protocol] for protocol in self.protocols}

    def deliver(self, text: bytes) -> None:
        with imaplib.IMAP4(HOST, self.ports["imap"]) as client:
            client.login(self.user, self.password)
            status, told = client.append("INBOX", "", "", text)
            assert status == "OK", told


class Pymap(Packaged):
    """In memory; it answers CAPABILITY with LITERAL+, UIDPLUS, OBJECTID and more."""

    def start(self) -> None:
        self.run(
            str(PYTHON.with_name("pymap")),
            "--no-service",
            "admin",
            "--no-service",
            "managesieve",
            "--host",
            HOST,
            "--port",
            str(self.ports["imap"]),
            "--no-tls",
            "dict",
            "--demo-data",
            "--demo-user",
            self.user,
            "--demo-password",
            PASSWORD,
        )


class Twisted(Packaged):
    """Its IMAP and POP3 protocols over one Maildir (`twisted_mail`)."""

    protocols: ClassVar[tuple[str, ...]] = ("imap", "pop3")

    def start(self) -> None:
        self.maildir = self.directory / "Maildir"
        for name in ("cur", "new", "tmp"):
            (self.maildir / name).mkdir(parents=True)
        self.run(
            str(PYTHON),
            str(_HERE / "twisted_mail.py"),
            str(self.maildir),
            self.user,
            PASSWORD,
            *map(str, self.ports.values()),
        )

    def deliver(self, text: bytes) -> None:
        number = len(list(self.maildir.glob("*/*")))
        draft = self.maildir / "tmp" / f"{1700000000 + number}.{number}.host"
        draft.write_bytes(text)
        draft.rename(self.maildir / "new" / draft.name)


class Hoodiecrow(Packaged):
    """In memory, for tests of clients; plugins give it what it offers."""

    _PROGRAM = """
const [port, user, password] = JSON.parse(process.argv[1]);
const server = require(process.argv[2])({
  plugins: ["ID", "UIDPLUS", "NAMESPACE", "IDLE", "AUTH-PLAIN", "SASL-IR", "LITERALPLUS", "ENABLE",
            "CONDSTORE"],
  users: {[user]: {password}}, storage: {"INBOX": {uidvalidity: 77}}});
server.listen(port, "127.0.0.1");
"""

    def start(self) -> None:
        self.run(
            str(NODE),
            "-e",
            self._PROGRAM,
            json.dumps([self.ports["imap"], self.user, PASSWORD]),
            str(MODULES / "hoodiecrow-imap"),
        )
