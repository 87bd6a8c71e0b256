"""Twelve collectors in different states, for the pictures of the page: mail is collected, the
password is wrong, a server is away, recipients are unknown."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from demo.scene import TEMPLATES, Scene, Server, letter

REFUSING = 1
"""A port on which nothing listens."""
MANIFEST = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata:
  name: {name}
  labels: {{team: {team}}}
spec:
  title: {title}
  enabled: {enabled}
  source:
    protocol: {protocol}
    host: {host}
    port: {port}
    caFile: ../ca.pem
    username: {name}@shop.example
    password: {{file: ../secrets/{secret}}}
  collect: {{mode: {mode}, interval: {interval}}}
  recipient: {recipient}
"""
DETECTED = "{detect: {from: [shop.example], to: office.example, mailboxes: [anna, boris]}}"


@dataclass(frozen=True)
class Pictured:
    """A collector of the pictures, and how many messages its account holds."""

    name: str
    title: str
    team: str
    messages: int = 0
    protocol: str = "imap"
    mode: str = "new-keep"
    interval: str = "5m"
    secret: str = "right"  # noqa: S105  # a file's name
    enabled: bool = True
    is_away: bool = False
    recipient: str = ""

    def manifest(self, server: Server) -> str:
        """Return the manifest of this collector."""
        port = REFUSING if self.is_away else server.ports[f"{self.protocol}s"]
        return MANIFEST.format(
            name=self.name,
            title=self.title,
            team=self.team,
            enabled=str(self.enabled).lower(),
            protocol=self.protocol,
            host="127.0.0.1" if self.is_away else server.host,
            port=port,
            secret=self.secret,
            mode=self.mode,
            interval=self.interval,
            recipient=self.recipient or f"{{forwardTo: {self.name}@office.example}}",
        )


COLLECTORS = (
    Pictured("accounts", "Accounts payable", "finance", 31, mode="new-delete"),
    Pictured("berlin", "Berlin office", "branches", is_away=True),
    Pictured("info", "Общие вопросы", "support", 25, "pop3", interval="10m"),
    Pictured("lyon", "Bureau de Lyon", "branches", is_away=True),
    Pictured("orders", "Orders of the web shop", "sales", 100, mode="all-delete", interval="30s"),
    Pictured("personnel", "Personnel", "office", secret="wrong"),  # noqa: S106  # a file's name
    Pictured("press", "Press", "office", 6, recipient=DETECTED),
    Pictured("reception", "Reception", "office", secret="missing"),  # noqa: S106  # likewise
    Pictured("sales", "Почта отдела продаж", "sales", 63, interval="1m"),
    Pictured("support", "Support", "support", 48, "pop3", mode="new-delete"),
    Pictured("trade-fair", "Trade fair 2025", "sales", enabled=False),
    Pictured("wroclaw", "Biuro we Wrocławiu", "branches", is_away=True),
)


class PictureScene(Scene):
    """The directory of the pictures' daemon."""

    collectors: Sequence[Pictured] = COLLECTORS

    def lay_out(self, server: Server) -> None:
        """Create the directory again, and fill the server's mailboxes."""
        for name in ("collectors.d", "secrets", "state", "mail"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir(mode=0o700, parents=True)
        shutil.copy(server.ca_file, self.root / "ca.pem")
        self.write_secret("right", server.password)
        self.write_secret("wrong", "what it was before")
        for one in self.collectors:
            messages = [letter(number, one.name) for number in range(1, one.messages + 1)]
            server.deliver(f"{one.name}@shop.example", messages)
            (self.manifests / f"{one.name}.yaml").write_text(one.manifest(server), "utf-8")
        shutil.copy(TEMPLATES / "local.yaml", self.manifests / "local.yaml")
        local = self.manifests / "local.yaml"
        local.write_text(local.read_text("utf-8").partition("\n")[2], "utf-8")
