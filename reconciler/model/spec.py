"""The models of manifests: the one source of the JSON Schema.

The models and the schema accept the same files. A check that the schema cannot express is
therefore not made here but in `manifests.checks.field_rules`.

The text below a field becomes its description in the schema, with the meanings of its words and
its examples. Editors show them. `manifests.schema_export.description_parser` explains the syntax.

One file: the schema is generated from one module, in the order in which it stands here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from reconciler.model import known_providers
from reconciler.model.scalar_types import (
    FINGERPRINT,
    HEADER,
    VARIABLE,
    Address,
    Count,
    Domain,
    Host,
    Interval,
    Items,
    Line,
    LocalPart,
    Name,
    Path,
    Port,
    Size,
    Timeout,
)


class ManifestModel(BaseModel):
    """The base of all models of manifests.

    Keys are camelCase. Unknown keys are refused, and values are never converted.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        strict=True,
        validate_by_name=False,
        validate_by_alias=True,
    )

    exactly_one: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one must be present."""
    together: ClassVar[tuple[str, ...]] = ()
    """Keys that must be present together or not at all."""

    def declared(self) -> dict[str, Any]:
        """Return the model as a manifest's JSON value, with defaults and without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, data: Any) -> Any:
        """Check `exactly_one` and `together` as the schema does; refuse keys without a value."""
        if not isinstance(data, dict):
            return data
        if None in data.values():
            raise ValueError("a key stands without a value")
        if cls.exactly_one and sum(key in data for key in cls.exactly_one) != 1:
            raise ValueError(f"exactly one of {', '.join(cls.exactly_one)} is needed")
        if len({key in data for key in cls.together}) > 1:
            raise ValueError(f"{' and '.join(cls.together)} go together")
        return data

    @classmethod
    def exclusive(cls) -> tuple[str, ...]:
        """Return the keys of which at most one may be present."""
        return cls.exactly_one

    @classmethod
    def described_as(cls) -> type[ManifestModel]:
        """Return the model whose source describes the fields."""
        return cls


class SecretRef(ManifestModel):
    """Where a secret lives: exactly one of file, env, command (or value, with
    --allow-inline-secrets)."""

    exactly_one = ("file", "env", "command", "value")

    file: Path | None = None
    """Its first line is the secret; relative to the manifest.

    Examples: `../secrets/sales`, `/run/secrets/sales`
    """
    env: Annotated[str, StringConstraints(pattern=VARIABLE, max_length=256)] | None = None
    """An environment variable of the daemon.

    Examples: `SALES_PASSWORD`
    """
    command: Annotated[Items[Line], Field(min_length=1)] | None = None
    """A program and its arguments; what it prints is the secret.

    Examples: `[pass, show, mail/sales]`
    """
    value: Line | None = None
    """The secret itself: only for experiments."""


class OAuth2(ManifestModel):
    """How to get an access token: by a refresh token, or by the application's own secret alone."""

    provider: Literal["google", "microsoft", "yandex", "mailru", "custom"]
    """Whose addresses and scopes to use.

    `google`: Gmail and Google Workspace
    `microsoft`: Microsoft 365 and Outlook.com
    `yandex`: Yandex Mail and Yandex 360
    `mailru`: Mail.ru
    `custom`: another provider: issuer or tokenUrl names it
    """
    issuer: Line | None = None
    """For custom: the https address of a server that tells its endpoints itself (OpenID Connect
    Discovery or RFC 8414)."""
    token_url: Line | None = None
    """Where tokens are given out; for custom without issuer, and for a tenant of microsoft."""
    ca_file: Path | None = None
    """Trust this CA for the token endpoint instead of the system's; relative to the manifest."""
    client_id: Line | None = None
    """The application's id, as registered with the provider."""
    client_secret: SecretRef | None = None
    """The application's secret, where the provider wants one."""
    client_auth: Literal["basic", "form"] | None = None
    """How the application's secret is sent. Default: as the provider wants it; for custom basic,
    then form.

    `basic`: in the header Authorization
    `form`: as the field client_secret
    """
    refresh_token: SecretRef | None = None
    """The long-lived token that access tokens are made from; `mailcollector oauth2` gets it. One
    that the server replaces is written back where this names a file."""
    scope: Line | None = None
    """What to ask for, where the provider's own default does not do."""


def _of_a_provider(name: str) -> str:
    if known_providers.provider_named(name) is None:
        raise ValueError(f"{name!r} is no provider that is known")
    return name


class SourceSpec(ManifestModel):
    """The remote account, with exactly one of password, oauth2."""

    exactly_one = ("password", "oauth2")

    provider: (
        Annotated[
            str,
            AfterValidator(_of_a_provider),
            WithJsonSchema(
                {
                    "type": "string",
                    "enum": list(known_providers.NAMES),
                    "enumDescriptions": [provider.title for provider in known_providers.PROVIDERS],
                }
            ),
        ]
        | None
    ) = None
    """A provider that is known (docs/providers.md): host, port and tls are its own where they are
    not written here, and so is protocol.

    Examples: `gmail`"""

    protocol: Literal["imap", "pop3"]
    """How mail is fetched.

    `imap`: with folders, and told of new mail at once where push is on
    `pop3`: one mailbox without folders
    """
    host: Host
    """An IPv4 or IPv6 address or a domain name, in any script.

    Examples: `imap.example.org`
    """
    port: Port | None = None
    """Default: 993 or 143 for IMAP, 995 or 110 for POP3, as tls says.

    Examples: `993`, `995`, `143`, `110`
    """
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    """TLS from the first byte, after STARTTLS or STLS, or not at all.

    `implicit`: from the first byte, as on the ports 993 and 995
    `starttls`: after STARTTLS or STLS, as on the ports 143 and 110; the server must offer it
    `none`: nothing is encrypted: for a server on this machine
    """
    ca_file: Path | None = None
    """Trust this CA instead of the system's; relative to the manifest.

    Examples: `/etc/ssl/own-ca.pem`
    """
    fingerprint: Annotated[str, StringConstraints(pattern=FINGERPRINT)] | None = None
    """SHA-256 of the server's certificate (DER): replaces the checks of chain and name."""
    username: Line
    """The name to log in with, in any script.

    Examples: `sales@example.org`
    """
    address: Address | None = None
    """The account's own address, where it is not the username."""
    password: SecretRef | None = None
    """Where the password lives; or oauth2."""
    oauth2: OAuth2 | None = None
    """How to get an access token; or password."""
    timeout: Timeout = "60s"
    """The longest silence of the server that is waited out, 10s … 10m: more for one that works long
    before it answers.

    Unit: s or m

    Examples: `60s`, `2m`
    """
    folders: Annotated[Items[Line], Field(min_length=1)] | None = None
    """IMAP only; default INBOX. `/` stands for the server's delimiter; patterns such as "Lists/*"
    are allowed.

    Examples: `[INBOX]`, `[INBOX, "Lists/*"]`
    """

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: Any) -> Any:
        """Fill in the provider's values for the fields that the manifest leaves out."""
        provider = (
            known_providers.provider_named(data["provider"])
            if isinstance(data, dict) and isinstance(data.get("provider"), str)
            else None
        )
        return data if provider is None else provider.filled(data)

    @property
    def effective_port(self) -> int:
        implicit, plain = {"imap": (993, 143), "pop3": (995, 110)}[self.protocol]
        return self.port or (implicit if self.tls == "implicit" else plain)

    @property
    def effective_folders(self) -> tuple[str, ...]:
        return self.folders or ("INBOX",)


class CollectSpec(ManifestModel):
    """What is collected, and when."""

    mode: Literal["all-delete", "new-delete", "new-keep"] = "new-keep"
    """Collect everything and delete it there, collect what is new and delete it, or collect what is
    new and keep it.

    `all-delete`: every message on the server is collected, also what was collected before,
      and deleted there
    `new-delete`: what was not collected before is collected; all that is collected is deleted
      from the server
    `new-keep`: what was not collected before is collected; nothing is changed on the server
    """
    interval: Interval = "5m"
    """From start to start, 5s … 24h: 90s, 1h30m, 1d.

    Unit: s, m, h or d

    Examples: `5m`, `1h30m`
    """
    limit: Count = 100
    """Messages attempted in one session; 0 = no limit.

    Unit: messages

    Examples: `100`, `0`
    """
    push: bool = False
    """IMAP only: wait for new mail as well (IDLE); in several folders if the server has NOTIFY,
    else in the first."""
    max_message_size: Size = "50MiB"
    """Larger messages are skipped visibly and never deleted.

    Unit: B, kB, MB, GB, KiB, MiB or GiB

    Examples: `50MiB`
    """


class Detect(ManifestModel):
    """Find out whom each message was sent to."""

    from_: Annotated[Items[Domain], Field(min_length=1, alias="from")]
    """Remote domains whose addresses count.

    Examples: `[example.org]`
    """
    to: Domain
    """Local domain: X@from is delivered to X@to.

    Examples: `example.net`
    """
    mailboxes: Items[LocalPart] | None = None
    """The local parts that exist; without it the destination is asked."""
    aliases: dict[LocalPart, LocalPart] = {}
    """Remote local part -> local part.

    Examples: `{sales: ivanov}`
    """
    header: Annotated[str, StringConstraints(pattern=HEADER, max_length=200)] | None = None
    """Read this header only.

    Examples: `X-Envelope-To`
    """
    strip_prefix: LocalPart | None = None
    """qmail-like prefix of Delivered-To addresses."""
    default: Address | None = None
    """Where mail goes whose recipient was not found.

    Examples: `info@example.net`
    """


class RecipientSpec(ManifestModel):
    """Exactly one of forwardTo, detect."""

    exactly_one = ("forwardTo", "detect")

    forward_to: Address | None = None
    """Every message goes to this mailbox.

    Examples: `sales@example.net`
    """
    detect: Detect | None = None
    """Find out whom each message was sent to."""


class CollectorSpec(ManifestModel):
    """One remote account, and where its mail goes."""

    from_: Name | None = Field(None, alias="from")
    """A Template, whose fields count where this manifest does not state them itself."""
    title: Line | None = None
    """Free text, any script; defaults to the name."""
    enabled: bool = True
    """false: declared, but not run."""
    source: SourceSpec
    """The remote account."""
    collect: CollectSpec = CollectSpec()
    """What is collected, and when."""
    recipient: RecipientSpec
    """Whom the mail is for."""
    destination: Name | None = None
    """The Destination's name; else the one marked default."""


Overridable = Literal[
    "protocol",
    "provider",
    "host",
    "port",
    "tls",
    "caFile",
    "fingerprint",
    "via",
    "oauth2.provider",
    "oauth2.issuer",
    "oauth2.tokenUrl",
    "oauth2.caFile",
]
"""What decides where a source's secret goes, and who can read it on the way."""


class CommonSpec(CollectorSpec):
    """What many collectors have in common, as a Template says it."""

    overridable: Annotated[Items[Overridable], Field(min_length=1)] | None = None
    """Fields of spec.source that collectors may change although they take the template's secret: it
    then goes where they say. Without this, a template that names a server keeps its secret for that
    one.

    Examples: `[port]`"""


class MaildirSpec(ManifestModel):
    """Files below a directory, one Maildir for each mailbox."""

    path: Path
    """May contain {domain} and {local}; relative to the manifest.

    Examples: `"/var/mail/{domain}/{local}"`
    """


class LmtpSpec(ManifestModel):
    """A unix socket, or host and port."""

    exactly_one = ("socket", "host")
    together = ("host", "port")

    socket: Path | None = None
    """The server's socket; relative to the manifest.

    Examples: `/run/dovecot/lmtp`
    """
    host: Host | None = None
    """The server's name or address; with port.

    Examples: `127.0.0.1`
    """
    port: Port | None = None
    """Often 24; with host.

    Examples: `24`
    """


class SmtpSpec(ManifestModel):
    """A mail server that takes the mail for its own users."""

    together = ("username", "password")

    host: Host
    """The server's name or address.

    Examples: `127.0.0.1`
    """
    port: Port = 25
    """The server's port.

    Examples: `25`, `587`, `465`
    """
    tls: Literal["none", "starttls", "implicit"] = "none"
    """TLS not at all, after STARTTLS, or from the first byte.

    `none`: nothing is encrypted: for a server on this machine
    `starttls`: after STARTTLS, as on the ports 25 and 587; the server must offer it
    `implicit`: from the first byte, as on port 465
    """
    ca_file: Path | None = None
    """Trust this CA instead of the system's; relative to the manifest."""
    fingerprint: Annotated[str, StringConstraints(pattern=FINGERPRINT)] | None = None
    """SHA-256 of the server's certificate (DER): replaces the checks of chain and name."""
    username: Line | None = None
    """The name to log in with; with password."""
    password: SecretRef | None = None
    """Where the password lives; with username."""


class DestinationSpec(ManifestModel):
    """Exactly one of maildir, lmtp, smtp."""

    exactly_one = ("maildir", "lmtp", "smtp")

    default: bool = False
    """Used by the collectors that name no destination; at most one."""
    maildir: MaildirSpec | None = None
    """Maildirs on this machine."""
    lmtp: LmtpSpec | None = None
    """A mail server that speaks LMTP."""
    smtp: SmtpSpec | None = None
    """A mail server that speaks SMTP."""


class Metadata(ManifestModel):
    """What identifies the manifest."""

    name: Name
    """A DNS label of lower case letters, digits and `-`, unique per kind.

    Examples: `sales`
    """
    labels: dict[str, str] = {}
    """For searching: `get -l team=sales`.

    Examples: `{team: sales}`
    """
    annotations: dict[str, str] = {}
    """Notes for people and tools; nothing here reads them."""


class MailCollector(ManifestModel):
    """Fetch mail from one remote account."""

    api_version: Literal["mailcollector/v1"]
    kind: Literal["MailCollector"]
    metadata: Metadata
    spec: CollectorSpec


class MergedCollector(MailCollector):
    """A collector whose template has filled in the fields that it leaves out.

    This form is planned with and kept as last good. It never appears in a manifest file.
    """

    own_digest: str
    """The digest of the spec in the collector's own manifest."""
    template_digest: str
    """The digest of the template's spec. The two digests only tell people which of them changed."""


class Destination(ManifestModel):
    """Where mail is delivered to."""

    api_version: Literal["mailcollector/v1"]
    kind: Literal["Destination"]
    metadata: Metadata
    spec: DestinationSpec


Manifest = MailCollector | Destination
