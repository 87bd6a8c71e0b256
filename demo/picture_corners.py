"""Scenes for the pictures of what is rare: long names, consent that is missing, mail that is due to
be deleted, broken manifests; many collectors, and none."""

from __future__ import annotations

from pathlib import Path

from demo.picture_scene import Pictured, PictureScene
from demo.scene import Scene, Server

LONG = "warehouse-and-returns-department-of-the-northern-branch-office1"
"""A name of 63 characters, as long as one can be."""
TITLE = (
    "Склад и отдел возвратов северного филиала: рекламации, претензии, обмен товара, запросы о "
    "доставке и самовывозе по всем договорам прошлого года"
)
RARE = (
    Pictured(LONG, f'"{TITLE}"', "north, branch: northern, floor: third, owner: anna.petrova", 230),
    Pictured("archive", "Archive", "office", 40),
    Pictured("board", "Unbroken" + "AndOn" * 14, "office", 12),
    Pictured("newsletter", "Newsletter", "marketing", is_away=True),
)
CONSENT = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: google, labels: {team: sales}}
spec:
  title: Consultants at Google
  source:
    protocol: imap
    host: imap.gmail.com
    username: consultants@shop.example
    oauth2: {provider: google, clientId: an-id, clientSecret: {file: ../secrets/right},
      refreshToken: {file: ../secrets/google}}
  recipient: {forwardTo: consultants@office.example}
"""
TYPO = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: warehouse}
spec:
  source: {protocol: imap, host: mail.shop.example, usernme: warehouse@shop.example,
    password: {file: ../secrets/right}}
  collect: {mode: new-keep, interval: 2s}
  recipient: {forwardTo: warehouse@office.example}
"""
CROWD = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: mailbox-{number:05}, labels: {{team: t{team:02}}}}}
spec:
  title: Mailbox {number}
  enabled: {enabled}
  source: {{protocol: imap, host: 127.0.{host}.1, port: 1, username: mailbox-{number}@shop.example,
    password: {{file: ../../secrets/right}}}}
  recipient: {{forwardTo: mailbox-{number}@office.example}}
"""


class RareScene(PictureScene):
    """Long names, a consent that is missing, and broken manifests."""

    collectors = RARE

    def lay_out(self, server: Server) -> None:
        super().lay_out(server)
        (self.manifests / "google.yaml").write_text(CONSENT, "utf-8")
        (self.manifests / "warehouse.yaml").write_text(TYPO, "utf-8")

    def make_deletions_due(self) -> None:
        """Let the collector "archive" delete from now on what it has collected."""
        path = self.manifests / "archive.yaml"
        path.write_text(path.read_text("utf-8").replace("new-keep", "new-delete"), "utf-8")


class EmptyScene(PictureScene):
    """Nothing is declared yet."""

    collectors = ()


class CrowdScene(Scene):
    """Ten thousand collectors of forty hosts that do not answer; every tenth is disabled."""

    size = 10_000

    def lay_out(self, server: Server) -> None:
        for name in ("collectors.d", "secrets", "state", "mail"):
            (self.root / name).mkdir(mode=0o700, parents=True)
        self.write_secret("right", server.password)
        for number in range(self.size):
            self._place(number).write_text(
                CROWD.format(
                    number=number,
                    team=number % 30,
                    host=number % 40 + 1,
                    enabled="true" if number % 10 else "false",
                )
            )

    def _place(self, number: int) -> Path:
        """Return a manifest's path, in directories of 500."""
        place = self.manifests / f"{number // 500:02}"
        place.mkdir(exist_ok=True)
        return place / f"mailbox-{number:05}.yaml"
