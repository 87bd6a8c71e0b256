"""Manifests for tests."""

from __future__ import annotations

COLLECTOR = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata:
  name: sales
spec:
  source:
    protocol: imap
    host: imap.example.org
    username: sales@example.org
    password: {file: sales.secret}
  recipient:
    forwardTo: sales@example.net
"""
DESTINATION = """\
apiVersion: mailcollector/v1
kind: Destination
metadata:
  name: local
spec:
  maildir: {path: mail}
"""
