"""Internal records of a mailbox, which some servers show as a message."""

from __future__ import annotations

import re

INTERNAL = (
    "it is the mailbox's own record, which the server shows as a message: no mail, and never to be "
    "deleted"
)
INTERNAL_SIZE = 8 << 10
"""Octets of the largest record."""
_SUBJECT = re.compile(
    rb"^Subject:[^\r\n]{0,200}?FOLDER INTERNAL DATA", re.IGNORECASE | re.MULTILINE
)
_FIELD = re.compile(
    rb"^(?:X-IMAP(?:base)?:|From:[^\r\n]{0,200}?(?:Internal Data|MAILER-DAEMON))",
    re.IGNORECASE | re.MULTILINE,
)


def is_internal(message: bytes) -> bool:
    """Return whether a message is the record of UW imapd, Pine and programs made from them.

    They keep it as the first message of a mailbox in a file.
    """
    head = message.partition(b"\r\n\r\n")[0]
    return _SUBJECT.search(head) is not None and _FIELD.search(head) is not None
