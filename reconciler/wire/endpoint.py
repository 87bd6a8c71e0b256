"""A remote server's address, and how its identity is checked."""

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
"""Labels of 1 to 63 printable octets (RFC 1035, section 2.3.4). The resolver knows whether such a
name exists."""


class Endpoint(Struct, frozen=True):
    """A server as the manifest declares it.

    `host` is an IP address or a domain name in any script. `ca_file` (a path) or `fingerprint`
    (SHA-256 of the certificate) replaces the system's CAs.
    """

    host: str
    port: int
    tls: Tls
    ca_file: str | None = None
    fingerprint: str | None = None
    path: str | None = None
    """The path of a unix socket, instead of host and port."""
    role: Role = "sources"
    """What the server is used for: a policy allows hosts for each role."""
    provider: str = ""
    """The provider's name in the manifest, for its help pages; or ""."""

    @classmethod
    def of(cls, spec: SourceSpec) -> Endpoint:
        """Return the endpoint of a source."""
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
        """The part of the manifest that declares its certificate."""
        return {"sources": "source", "destinations": "smtp"}.get(self.role, "source.oauth2")

    @classmethod
    def local(cls, path: str) -> Endpoint:
        """Return the endpoint of a unix socket."""
        return cls("localhost", 0, "none", path=path, role="destinations")

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> str | None:
        """The host where it is an IPv4 or IPv6 address, else None."""
        literal = self.host.removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(literal)
        except ValueError:
            return None
        return literal

    @property
    def ascii_host(self) -> str:
        """The address, or the name in A-labels (RFC 5891). Raises `ConnectionFailed`."""
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
        """The name or address that the certificate must be valid for.

        A domain name is also sent as server name indication (RFC 6066).
        """
        return self.ascii_host.removesuffix(".").partition("%")[0]
