"""Header blocks alone (RFC 3501, 6.4.5: BODY.PEEK[HEADER]), to recognise messages by that have
other UIDs now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.messages import Listed
from reconciler.sources.imap.fetch_responses import Fetched
from reconciler.sources.imap.imap_dialogue import ImapClient
from reconciler.sources.imap.uid_search import uid_sets

_AT_ONCE = 500
_HEADER = b"BODY[HEADER]"


def fetch_headers(
    client: ImapClient, messages: Sequence[Listed]
) -> Iterator[tuple[Listed, bytes | None]]:
    """Of each message of the selected folder that has one, as far as the server gives them; sent
    twice with different content, it is told again, and None."""
    for start in range(0, len(messages), _AT_ONCE):
        wanted = {int(listed.key): listed for listed in messages[start : start + _AT_ONCE]}
        found: dict[int, int] = {}
        for uids, _ in uid_sets(wanted):
            for response in client.dialogue.fetch_uids(uids, "(UID BODY.PEEK[HEADER])"):
                match response:
                    case Fetched(uid=int(uid), attributes=attributes) if (
                        uid in wanted and _HEADER in attributes
                    ):
                        header = attributes[_HEADER]
                        if uid in found:
                            client.dialogue.unasked(response)
                        sole = isinstance(header, bytes) and found.setdefault(
                            uid, hash(header)
                        ) == hash(header)
                        yield wanted[uid], header if sole and isinstance(header, bytes) else None
                    case Fetched():
                        client.dialogue.unasked(response)
