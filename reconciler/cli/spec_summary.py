"""A collector's spec in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_PORTS = {
    ("imap", "implicit"): 993,
    ("pop3", "implicit"): 995,
    ("imap", ""): 143,
    ("pop3", ""): 110,
}
Spec = Mapping[str, Any]


def facts(spec: Spec) -> Iterator[tuple[str, str]]:
    """What is declared, as names and values; `spec` as in `get -o json`, empty where it never was
    valid."""
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
