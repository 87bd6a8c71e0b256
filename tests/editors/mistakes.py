"""The ten most likely mistakes in a manifest; each is made in a good one."""

from __future__ import annotations

GOOD = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata:
  name: sales
spec:
  source:
    protocol: imap
    host: imap.example.org
    username: sales@example.org
    password: {file: ../secrets/sales}
  collect:
    mode: new-keep
    interval: 5m
  recipient:
    forwardTo: sales@example.net
"""
MISTAKES: dict[str, tuple[str, str, str, str, str]] = {
    "a misspelt field": (
        "  interval:",
        "  intervall:",
        "intervall",
        "intervall",
        "did you mean `interval`",
    ),
    "the password itself": (
        "{file: ../secrets/sales}",
        "hunter2",
        "hunter2",
        "{file: PATH}",
        "{file: PATH}",
    ),
    "the password in the manifest": (
        "{file: ../secrets/sales}",
        "{value: hunter2}",
        "value",
        "move it out",
        "move it out",
    ),
    "no password": (
        "    password: {file: ../secrets/sales}\n",
        "",
        "source",
        "`password` or `oauth2` is missing",
        "is missing in spec.source",
    ),
    "an interval without a unit": ("5m", "5", "5\n", "write it like 90s, 5m", "give it a unit"),
    "an interval that is too short": ("5m", "1s", "1s", "from 5s to 24h", "from 5s to 24h"),
    "a mode that there is not": ("new-keep", "keep", "keep\n", "new-keep", "new-keep"),
    "folders with POP3": (
        "protocol: imap",
        "protocol: pop3\n    folders: [INBOX]",
        "folders",
        "POP3 has no folders",
        "POP3 has no folders",
    ),
    "two recipients": (
        "    forwardTo",
        "    detect: {from: [a.example], to: b.example}\n    forwardTo",
        "detect",
        "keep one",
        "keep one",
    ),
    "a name with a capital": ("name: sales", "name: Sales", "Sales", "is no name", "is no name"),
}
"""What is replaced, by what, the text at which it is marked, and what the editor and `validate`
say."""


def made(mistake: str) -> str:
    """The manifest with it."""
    before, after, *_ = MISTAKES[mistake]
    assert before in GOOD
    return GOOD.replace(before, after)
