"""Manifest files on disk."""

from __future__ import annotations

import os
from pathlib import Path

COMMENTED = """\
# the shop's mailbox
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  source:   # at the provider
    host: 'imap.example'
    protocol: imap
    username: u
    password: {env: P}
  collect: {interval: 5m}  # as agreed
  recipient: {forwardTo: sales@local.example}
"""
"""A manifest as people write it: with comments, quotes and a style of its own."""


def text(name: str, interval: str = "5m", **more: str) -> str:
    lines = [
        "apiVersion: mailcollector/v1",
        "kind: MailCollector",
        f"metadata: {{name: {name}}}",
        "spec:",
        "  source: {protocol: imap, host: imap.example, username: u, password: {env: P}}",
        f"  collect: {{interval: {interval}}}",
        f"  recipient: {{forwardTo: {name}@local.example}}",
    ]
    lines += [f"  {key}: {value}" for key, value in more.items()]
    return "\n".join(lines) + "\n"


def save(directory: Path, name: str, content: str | None = None) -> Path:
    """Write a file as careful editors do: a new one takes the old one's place."""
    path = directory / f"{name}.yaml"
    new = directory / f".{name}.new"
    new.write_text(text(name) if content is None else content)
    new.replace(path)
    return path


def age(path: Path, seconds: int = 10) -> None:
    """As if it had been written a while ago."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))
