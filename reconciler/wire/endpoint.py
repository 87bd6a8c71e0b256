"""Where a remote server is, and how its identity is checked."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

from msgspec import Struct

from reconciler.model.domains import a_labels
from reconciler.model.errors import ConnectionFailed
from reconciler.model.manifest_policy import Role
from reconciler.model.spec import SourceSpec

Tls = Literal["implicit", "starttls", "none"]

_NAME = re.compile(r"(?:[!-\-/-~]{1,63}\.)*[!-\-/-~]{1,63}\.?")
"""Labels of 1 to 63 printable octets (RFC 1035, 2.3.4); whether such a name exists is for the
resolver to say."""


class Endpoint(Struct, frozen=True):
    """A server as the manifest declares it; `host` may be an address or a domain name in any
    script."""

    host: str
    port: int
    tls: Tls
    ca_file: str | None = None
    fingerprint: str | None = None
    path: str | None = None
    """A unix socket's, instead of host and port."""
    role: Role = "sources"
    """What it is to us: a policy allows other hosts for each."""
    provider: str = ""
    """As the manifest names it: whose pages help people."""

    @classmethod
    def of(cls, spec: SourceSpec) -> Endpoint:
        return cls(
            spec.host,
            spec.effective_port,
            spec.tls,
            spec.ca_file,
            spec.fingerprint,
            provider=spec.provider or "",
        )

    @property
    def declared_in(self) -> str:
        """The part of a manifest in which it is declared whom to trust."""
        return {"sources": "source", "destinations": "smtp"}.get(self.role, "source.oauth2")

    @classmethod
    def local(cls, path: str) -> Endpoint:
        """A unix socket."""
        return cls("localhost", 0, "none", path=path, role="destinations")

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> str | None:
        """The host when it is an IPv4 or IPv6 address, else None."""
        literal = self.host.removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(literal)
        except ValueError:
            return None
        return literal

    @property
    def ascii_host(self) -> str:
        """The address, or the name as A-labels (RFC 5891; UTS 46 maps what people type). Raises
        `ConnectionFailed`."""
        if self.address is not None:
            return self.address
        try:
            name = a_labels(self.host)
        except ValueError as error:
            raise ConnectionFailed(
                f"{self}: not a domain name: {error}. Correct source.host."
            ) from error
        if not _NAME.fullmatch(name):
            raise ConnectionFailed(f"{self}: not a domain name. Correct source.host.")
        return name

    @property
    def tls_name(self) -> str:
        """What the certificate has to be valid for; for a domain name also the server name
        indication (RFC 6066)."""
        return self.ascii_host.removesuffix(".").partition("%")[0]
