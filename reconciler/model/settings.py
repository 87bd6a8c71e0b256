"""The common options of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
MetricsMode = Literal["all", "unhealthy", "none"]
"""Which collectors have metrics of their own."""


class Listen(NamedTuple):
    """An additional address for the API, apart from the control socket. `host` has no brackets."""

    host: str
    port: int


class Settings(Struct, frozen=True):
    """The values of the common options.

    `manifests` is None for the directory of the running daemon. `host_connections` and
    `host_logins_per_minute` are None for the limits of the known providers (`control.host_limits`).
    `state_url` may contain a password and must not be shown.
    """

    state_dir: Path
    state_url: str
    manifests: Path | None = None
    listen: Listen | None = None
    log_format: LogFormat | None = None
    """None means text on a terminal and JSON otherwise."""
    log_level: LogLevel = "info"
    max_sessions: int = 32
    host_connections: int | None = None
    host_logins_per_minute: int | None = None
    allow_inline_secrets: bool = False
    """Whether `password: {value: …}` is accepted."""
    support_address: str = ""
    """A mail address or URL for servers that ask for the client's identity (RFC 2971)."""
    metrics: MetricsMode | None = None
    """None means all up to 1,000 collectors, and unhealthy above that."""
    policy: Path | None = None
    """The path of the policy (`model.manifest_policy`)."""

    tokens: Path | None = None
    """The file of tokens; None: `tokens.json` in the state directory."""
    public_url: str = ""
    """Where browsers reach the page, such as https://mail.example.org; "" is `listen` itself."""
    git_commit: bool = False
    """Whether each change of a manifest over the API or the page becomes a git commit."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose headers name the user."""

    @property
    def token_file(self) -> Path:
        """Where the tokens are kept, as hashes."""
        return self.tokens or self.state_dir / "tokens.json"

    @property
    def page_address(self) -> str:
        """Where browsers reach the page, without a slash at the end; "" if that is unknown."""
        if self.public_url or self.listen is None:
            return self.public_url
        host = f"[{self.listen.host}]" if ":" in self.listen.host else self.listen.host
        return f"http://{host}:{self.listen.port}"

    @property
    def control_socket(self) -> Path:
        """Return the path of the daemon's control socket. It may be too long for `sockaddr_un`."""
        return self.state_dir / "control.sock"
