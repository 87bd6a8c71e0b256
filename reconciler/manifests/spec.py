"""The manifests' models: the one source of the JSON Schema, and what every floor above reads.

Whatever the schema cannot say is not said here either (it is a rule in `manifests.rules`), so that both accept and
reject the same files.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

_TO_59 = r"[1-5]?[0-9]"
INTERVAL = (
    r"^(?:"
    r"(?:[5-9]|[1-9][0-9]{1,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)s"  # 5s … 86400s
    r"|(?:[1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m"  # 1m … 1440m
    rf"|[1-9][0-9]{{0,2}}m{_TO_59}s|1[0-3][0-9]{{2}}m{_TO_59}s|14[0-3][0-9]m{_TO_59}s"
    rf"|(?:[1-9]|1[0-9]|2[0-3])h(?:{_TO_59}m)?(?:{_TO_59}s)?"
    r"|24h|1d)$"
)
"""5s … 24h: 90s, 1h30m, 1d."""
SIZE = r"^[1-9][0-9]{0,11}(?:[KMG]iB|[kMG]B|B)?$"
_NAME = r"^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$"
_ONE_LINE = r"^[^\u0000-\u001f\u007f]*$"
_ADDRESS = r"^[^\u0000-\u0020\u007f@]+@[^\u0000-\u0020\u007f@/]+$"
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}

Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=63)]
Line = Annotated[str, StringConstraints(pattern=_ONE_LINE, min_length=1, max_length=1024)]
Host = Annotated[str, StringConstraints(pattern=r"^[^\u0000-\u0020\u007f/@\\]+$", max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[str, StringConstraints(pattern=_ADDRESS, max_length=320)]
LocalPart = Annotated[str, StringConstraints(pattern=r"^[^\u0000-\u0020\u007f@]+$", max_length=256)]
Domain = Annotated[str, StringConstraints(pattern=r"^[^\u0000-\u0020\u007f@/]+$", max_length=253)]
Path = Annotated[str, StringConstraints(pattern=_ONE_LINE, min_length=1, max_length=4096)]
Interval = Annotated[str, StringConstraints(pattern=INTERVAL)]
Size = Annotated[str, StringConstraints(pattern=SIZE)]


def seconds(interval: str) -> float:
    """The length of an `Interval` such as 5m, 90s, 1h30m, 1d."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return float(sum(int(number) * units[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", interval)))


def octets(size: str) -> int:
    """The bytes of a `Size` such as 50MiB, 300kB or 1000."""
    number, unit = re.fullmatch(r"([0-9]+)([A-Za-z]*)", size).groups()  # type: ignore[union-attr]  # the schema's pattern
    return int(number) * _UNITS[unit]


class Declared(BaseModel):
    """Base of everything that stands in a manifest: camelCase keys, nothing unknown, nothing converted."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True,
                              validate_by_name=False, validate_by_alias=True, use_attribute_docstrings=True)

    def declared(self) -> dict[str, Any]:
        """As it would stand in a manifest, defaults filled in, what is absent left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class SecretRef(Declared):
    """Where a secret lives: exactly one of file, env, command (or value, with --allow-inline-secrets)."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    file: Path | None = None
    """Its first line is the secret; relative to the manifest."""
    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """An environment variable of the daemon."""
    command: Annotated[tuple[Line, ...], Field(min_length=1)] | None = None
    """A program and its arguments; what it prints is the secret."""
    value: Line | None = None
    """The secret itself: only for experiments."""


class OAuth2(Declared):
    """How to get an access token (its behaviour arrives with a later version)."""

    provider: Literal["google", "microsoft", "yandex", "mailru", "custom"]
    token_url: Line | None = None
    client_id: Line | None = None
    client_secret: SecretRef | None = None
    refresh_token: SecretRef | None = None
    scope: Line | None = None


class SourceSpec(Declared):
    """The remote account."""

    protocol: Literal["imap", "pop3"]
    host: Host
    """An IPv4 or IPv6 address or a domain name, in any script."""
    port: Port | None = None
    """Default: 993 or 143 for IMAP, 995 or 110 for POP3, as tls says."""
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    ca_file: Path | None = None
    """Trust this CA instead of the system's; relative to the manifest."""
    fingerprint: Annotated[str, StringConstraints(
        pattern=r"^(?:sha256:)?[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}$")] | None = None
    """SHA-256 of the server's certificate (DER): replaces the checks of chain and name."""
    username: Line
    address: Address | None = None
    """The account's own address, where it is not the username."""
    password: SecretRef | None = None
    oauth2: OAuth2 | None = None
    folders: Annotated[tuple[Line, ...], Field(min_length=1)] | None = None
    """IMAP only; default INBOX. `/` stands for the server's delimiter; patterns such as "Lists/*" are allowed."""

    @property
    def effective_port(self) -> int:
        implicit, plain = {"imap": (993, 143), "pop3": (995, 110)}[self.protocol]
        return self.port or (implicit if self.tls == "implicit" else plain)

    @property
    def effective_folders(self) -> tuple[str, ...]:
        return self.folders or ("INBOX",)


class CollectSpec(Declared):
    """What is collected, and when."""

    mode: Literal["all-delete", "new-delete", "new-keep"] = "new-keep"
    interval: Interval = "5m"
    """From start to start, 5s … 24h: 90s, 1h30m, 1d."""
    limit: Annotated[int, Field(ge=0)] = 100
    """Messages attempted in one session; 0 = no limit."""
    push: bool = False
    """IMAP only: wait for new mail with IDLE as well."""
    max_message_size: Size = "50MiB"
    """Larger messages are skipped visibly and never deleted."""


class Detect(Declared):
    """Find out whom each message was sent to."""

    from_: Annotated[tuple[Domain, ...], Field(min_length=1, alias="from")]
    """Remote domains whose addresses count."""
    to: Domain
    """Local domain: X@from is delivered to X@to."""
    mailboxes: tuple[LocalPart, ...] | None = None
    """The local parts that exist; without it the destination is asked."""
    aliases: dict[LocalPart, LocalPart] = {}
    """Remote local part -> local part."""
    header: Annotated[str, StringConstraints(pattern=r"^[!-9;-~]+$", max_length=200)] | None = None
    """Read this header only."""
    strip_prefix: LocalPart | None = None
    """qmail-like prefix of Delivered-To addresses."""
    default: Address | None = None
    """Where mail goes whose recipient was not found."""


class RecipientSpec(Declared):
    """Exactly one of forwardTo, detect."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    forward_to: Address | None = None
    """Every message goes to this mailbox."""
    detect: Detect | None = None


class CollectorSpec(Declared):
    title: Line | None = None
    """Free text, any script; defaults to the name."""
    enabled: bool = True
    source: SourceSpec
    collect: CollectSpec = CollectSpec()
    recipient: RecipientSpec
    destination: Name | None = None
    """The Destination's name; else the one marked default."""


class MaildirSpec(Declared):
    path: Path
    """May contain {domain} and {local}; relative to the manifest."""


class LmtpSpec(Declared):
    """A unix socket, or host and port."""

    socket: Path | None = None
    host: Host | None = None
    port: Port | None = None


class SmtpSpec(Declared):
    host: Host
    port: Port = 25
    tls: Literal["none", "starttls", "implicit"] = "none"
    username: Line | None = None
    password: SecretRef | None = None


class DestinationSpec(Declared):
    """Exactly one of maildir, lmtp, smtp."""

    default: bool = False
    """Used by the collectors that name no destination; at most one."""
    maildir: MaildirSpec | None = None
    lmtp: LmtpSpec | None = None
    smtp: SmtpSpec | None = None


class Metadata(Declared):
    name: Name
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class MailCollector(Declared):
    api_version: Literal["mailcollector/v1"]
    kind: Literal["MailCollector"]
    metadata: Metadata
    spec: CollectorSpec


class Destination(Declared):
    api_version: Literal["mailcollector/v1"]
    kind: Literal["Destination"]
    metadata: Metadata
    spec: DestinationSpec


Manifest = MailCollector | Destination
