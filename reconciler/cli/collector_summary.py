"""A collector's spec and its sessions, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.cli.readable_text import octets, time_since, time_until
from reconciler.model.harmless_text import escape

if TYPE_CHECKING:
    from reconciler.model.status import DestinationAway, HostAway, SessionError, ShownSession

_PORTS = {
    ("imap", "implicit"): 993,
    ("pop3", "implicit"): 995,
    ("imap", ""): 143,
    ("pop3", ""): 110,
}
Spec = Mapping[str, Any]


def declared_fields(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield what is declared, as names and values.

    `spec` is the one of `get -o json`; it is empty if the manifest never was valid.
    """
    if not spec:
        return
    if "title" in spec:
        yield "Title", spec["title"]
    if "from" in spec:
        yield "Template", spec["from"]
    if not spec.get("enabled", True):
        yield "Enabled", "no"
    source = spec.get("source", {})
    yield "Server", _server(source)
    yield (
        "Account",
        source.get("username", "")
        + (f", address {source['address']}" if "address" in source else ""),
    )
    if source.get("protocol") == "imap":
        yield "Folders", ", ".join(source.get("folders") or ["INBOX"])
    yield "Collect", _cadence(spec.get("collect", {}))
    yield "Recipient", _recipient(spec.get("recipient", {}))
    yield "Destination", spec.get("destination") or "the default one"


def _server(source: Spec) -> str:
    protocol, tls = source.get("protocol", ""), source.get("tls", "implicit")
    port = source.get("port") or _PORTS.get((protocol, "implicit" if tls == "implicit" else ""), "")
    host = str(source.get("host", ""))
    return f"{protocol}, {f'[{host}]' if ':' in host else host}:{port}, tls {tls}"


def _cadence(collect: Spec) -> str:
    limit = collect.get("limit", 100)
    parts = [
        collect.get("mode", "new-keep"),
        f"every {collect.get('interval', '5m')}",
        f"at most {limit:,} messages a session" if limit else "all messages in one session",
        f"none over {collect.get('maxMessageSize', '50MiB')}",
    ]
    return ", ".join(parts + (["push"] if collect.get("push") else []))


def _recipient(recipient: Spec) -> str:
    if "forwardTo" in recipient:
        return f"everything to {recipient['forwardTo']}"
    detect = recipient.get("detect", {})
    default = detect.get("default")
    return f"detected: {', '.join(detect.get('from', ()))} to {detect.get('to', '')}, " + (
        f"else {default}" if default else "else parked"
    )


def session_summary(session: ShownSession, now: datetime) -> str:
    """Return the text of a table's cell: when the session ended and its counters that are not zero,
    or why it failed."""
    if session.finished_at is None:
        return f"now, collected {session.collected:,} of {session.listed - session.skipped:,}"
    when = time_since(session.finished_at, now)
    counters = {
        "collected": session.collected,
        "skipped": session.skipped,
        "parked": session.parked,
        "failed": session.failed,
        "left": session.left,
        "deleted": session.deleted,
    }
    parts = (
        ", ".join(f"{name} {count:,}" for name, count in counters.items() if count) or "nothing new"
    )
    return f"{when}, {parts if session.error is None else f'failed: {session.error.reason}'}"


def session_counters(session: ShownSession) -> str:
    """Return every counter, the bytes and the seconds."""
    reasons = ", ".join(
        f"{escape(reason)} {count:,}" for reason, count in session.skipped_reasons.items() if count
    )
    skipped = f"{session.skipped:,}" + (f" ({reasons})" if reasons else "")
    seconds = ((session.finished_at or session.started_at) - session.started_at).total_seconds()
    return (
        f"collected {session.collected:,}, skipped {skipped}, parked {session.parked:,}, "
        f"failed {session.failed:,}, left {session.left:,}, deleted {session.deleted:,}, "
        f"{octets(session.bytes)} in {seconds:.1f} s"
    )


def error_text(error: SessionError) -> str:
    return f"{escape(error.reason)}: {escape(error.message)}"


def destination_away_text(away: DestinationAway, now: datetime) -> str:
    """Return since when a mail system takes no mail, whom that concerns, and when it is tried."""
    many = (
        "1 collector delivers there"
        if away.concerns == 1
        else f"{away.concerns:,} collectors deliver there"
    )
    return (
        f"{escape(away.destination)} takes no mail (since {time_since(away.since, now)}); {many}, "
        f"one of them tries again {time_until(away.next_attempt, now)}"
    )


def is_success(session: ShownSession) -> bool:
    """Return whether nothing failed. Parked, skipped or left messages are no failure."""
    return session.outcome == "succeeded" and session.failed == 0


def host_away_text(away: HostAway, now: datetime) -> str:
    """Return since when a host refuses logins, whom that concerns, and when it is tried."""
    many = "1 collector waits" if away.concerns == 1 else f"{away.concerns:,} collectors wait"
    return (
        f"{escape(away.host)}:{away.port} lets nobody in (since {time_since(away.since, now)}); "
        f"{many} for one that tries again {time_until(away.next_attempt, now)}"
    )
