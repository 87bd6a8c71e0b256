"""What the common options of the command line say, for every floor below it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Listen(NamedTuple):
    """Where the API is served besides the control socket. `host` is without brackets."""

    host: str
    port: int


class Settings(Struct, frozen=True):
    """`manifests`, `host_connections` and `host_logins_per_minute` are None where nothing was asked
    for: the running daemon's directory, and the presets of the providers (`control.host_limits`).
    `state_url` may contain a password: never show it."""

    state_dir: Path
    state_url: str
    manifests: Path | None = None
    listen: Listen | None = None
    log_format: LogFormat | None = None
    """None: text on a terminal, JSON otherwise."""
    log_level: LogLevel = "info"
    max_sessions: int = 32
    host_connections: int | None = None
    host_logins_per_minute: int | None = None
    allow_inline_secrets: bool = False
    """`password: {value: …}` is accepted."""
    support_address: str = ""
    """What servers that ask who we are (RFC 2971) are told to turn to: a mail address or a URL."""
    policy: Path | None = None
    """The policy that this process goes by (`model.manifest_policy`)."""

    @property
    def control_socket(self) -> Path:
        """Where the daemon serves its API; mind that the path may exceed what `sockaddr_un`
        holds."""
        return self.state_dir / "control.sock"
