"""The common options: every verb takes them after its name; each has an environment variable."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from reconciler.model.settings import Listen, LogLevel, Settings
from reconciler.model.whole_numbers import whole_number

_FIELDS = (
    "state_dir",
    "state",
    "manifests",
    "listen",
    "metrics",
    "log_format",
    "log_level",
    "max_sessions",
    "host_connections",
    "host_logins_per_minute",
    "allow_inline_secrets",
    "support_address",
    "policy",
    "token_file",
    "public_url",
    "trust_proxy",
)

Callback = Callable[..., int]
"""The function of a verb. It returns the exit code."""


class CommonOption(click.Option):
    """An option of every verb, shown in a section of its own with its environment variable."""

    def __init__(self, declarations: list[str], **attributes: Any) -> None:
        variable = "MAILCOLLECTOR_" + declarations[0].lstrip("-").upper().replace("-", "_")
        super().__init__(declarations, envvar=variable, show_envvar=True, **attributes)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (
            record[0],
            record[1].replace("  [env var: ", "  [$").replace("; x>=1]", "]"),
        )


class ListenAddress(click.ParamType[Listen]):
    """The parameter type HOST:PORT; an IPv6 address stands in brackets."""

    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Listen:
        if isinstance(value, Listen):
            return value
        host, colon, port = str(value).rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        number = whole_number(port)
        if not (colon and bare) or number is None or number > 65535:
            self.fail(
                f"{value!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080", param, ctx
            )
        if ":" in bare and not host.startswith("["):
            self.fail(
                f"{value!r}: put the IPv6 address in brackets, such as [::1]:8080", param, ctx
            )
        return Listen(bare, number)


class PublicUrl(click.ParamType[str]):
    """The parameter type https://HOST[:PORT]; http only for this machine itself."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).rstrip("/")
        found = urlsplit(text)
        is_own = found.scheme == "http" and found.hostname in {"localhost", "127.0.0.1", "::1"}
        if text and (not found.hostname or found.path or not (found.scheme == "https" or is_own)):
            self.fail(
                f"{value!r} is not https://HOST, such as https://mail.example.org", param, ctx
            )
        return text


class ProxyAddress(click.ParamType[str]):
    """The parameter type of an IP address, or a network such as 10.0.0.0/8."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            network = ipaddress.ip_network(str(value))
        except ValueError:
            self.fail(f"{value!r} is no IP address or network, such as 127.0.0.1", param, ctx)
        if not network.prefixlen:
            self.fail(f"{value!r} is everybody: name the proxy's own address", param, ctx)
        return str(network)


FILES = frozenset({"--manifests", "--state-dir", "--allow-inline-secrets", "--policy"})
"""The options of verbs that read or change manifests. The state directory leads to the daemon and
its manifests."""
LOGGED = frozenset({"--log-format", "--log-level"})
READING = FILES | LOGGED | {"--state"}
"""The options of verbs that also read the ledger if no daemon runs."""
LOGGING_IN = READING | {"--support-address"}
"""The options of verbs that also log in at a server if no daemon runs."""
TOKENS = frozenset({"--state-dir", "--token-file", "--public-url", "--listen"})
"""The options of verbs that make tokens, or links to the page."""
SESSIONS = LOGGING_IN | {"--max-sessions", "--host-connections", "--host-logins-per-minute"}
"""The options of verbs that also run sessions if no daemon runs."""


def common_options(
    *, log_level: LogLevel = "warning", manifests: bool = True, uses: Collection[str] | None = None
) -> Callable[[Callback], Callback]:
    """Give a verb the common options; its function gets them as its first argument, a `Settings`.
    `uses` names the options that have an effect on it, None: all. The verb accepts the others too,
    but its help does not show them."""

    def decorate(function: Callback) -> Callback:
        @functools.wraps(function)
        def wrapped(**values: Any) -> int:
            given = {field: values.pop(field, None) for field in _FIELDS}
            if given["policy"] is not None and (uses is None or "--policy" in uses):
                _enforce(given["policy"])
            return function(_settings(**given), **values)

        for name, attributes in reversed(_options(log_level, manifests=manifests)):
            hidden = uses is not None and name not in uses
            click.option(name, cls=CommonOption, hidden=hidden, **attributes)(wrapped)
        return wrapped

    return decorate


def _enforce(file: Path) -> None:
    # pydantic is slow to import, and few have a policy
    from reconciler.manifests.policy_file import load  # noqa: PLC0415
    from reconciler.model.manifest_policy import enforce  # noqa: PLC0415

    enforce(load(file))


def _settings(
    *,
    state_dir: Path,
    state: str | None,
    allow_inline_secrets: bool,
    token_file: Path | None,
    trust_proxy: Sequence[str],
    **rest: Any,
) -> Settings:
    return Settings(
        tokens=token_file,
        trusted_proxies=tuple(trust_proxy),
        state_dir=state_dir,
        state_url=state or _ledger_in(state_dir),
        allow_inline_secrets=bool(allow_inline_secrets),
        **rest,
    )


def _options(log_level: LogLevel, *, manifests: bool) -> list[tuple[str, dict[str, Any]]]:
    directory = click.Path(
        file_okay=False, readable=False, path_type=Path
    )  # who may read it, the verb finds out
    number = click.IntRange(min=1)
    listed = [
        _option(
            "--state-dir",
            type=directory,
            metavar="DIR",
            default=Path("state"),
            show_default=True,
            help="Where the ledger, the control socket and the default Maildirs are.",
        ),
        _option(
            "--state",
            metavar="URL",
            callback=_supported_store,
            help="The ledger: sqlite:///FILE; default: ledger.sqlite3 in the state directory.",
        ),
        _option(
            "--listen",
            type=ListenAddress(),
            metavar="HOST:PORT",
            help="Serve the page, the API, the probes and the metrics here too; off unless given.",
        ),
        _option(
            "--token-file",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="The hashes of the tokens; default: tokens.json in the state directory.",
        ),
        _option(
            "--public-url",
            type=PublicUrl(),
            metavar="URL",
            default="",
            help="Where browsers reach the page: https://HOST, behind a proxy with TLS.",
        ),
        _option(
            "--trust-proxy",
            type=ProxyAddress(),
            metavar="ADDRESS",
            multiple=True,
            help="A proxy, or a network of them, whose headers X-Forwarded-User and "
            "X-Mailcollector-Role name the user; may be repeated.",
        ),
        _option(
            "--metrics",
            type=click.Choice(["all", "unhealthy", "none"]),
            help="Which collectors have metrics of their own; default: all up to 1000 collectors, "
            "above that unhealthy.",
        ),
        _option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            help="Default: text on a terminal, else json.",
        ),
        _option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default=log_level,
            show_default=True,
            help="How much is logged, to stderr.",
        ),
        _option(
            "--max-sessions",
            type=number,
            metavar="N",
            default=32,
            show_default=True,
            help="Sessions at the same time.",
        ),
        _option(
            "--host-connections",
            type=number,
            metavar="N",
            help="Sessions with one host at the same time; default: 8, but 5 to 10 at the big "
            "providers.",
        ),
        _option(
            "--host-logins-per-minute",
            type=number,
            metavar="N",
            help="Logins at one host in a minute; default: 30 to 120 at the big providers, else "
            "no limit.",
        ),
        _option(
            "--policy",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="What manifests may name: directories, programs, hosts; default: everything.",
        ),
        _option(
            "--allow-inline-secrets",
            is_flag=True,
            help="Accept `password: {value: …}`: only for experiments.",
        ),
        _option(
            "--support-address",
            metavar="ADDRESS",
            default="",
            help="Told to IMAP servers that ask who we are: a mail address or a URL; nothing "
            "unless given.",
        ),
    ]
    if manifests:
        listed.insert(
            0,
            _option(
                "--manifests",
                type=directory,
                metavar="DIR",
                help="The manifests; default: the running daemon's, else ./collectors.d.",
            ),
        )
    return listed


def _option(name: str, **attributes: Any) -> tuple[str, dict[str, Any]]:
    return name, attributes


def _ledger_in(directory: Path) -> str:
    """Return the ledger's URL, with the two characters escaped that would mean something else in
    it."""
    return "sqlite:///" + str(directory / "ledger.sqlite3").replace("%", "%25").replace("?", "%3F")


def _supported_store(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url is not None and not url.startswith(
        ("sqlite:///", "postgresql://", "postgresql+psycopg://")
    ):
        raise click.BadParameter("a ledger is sqlite:///FILE")  # not quoted: it may hold a password
    return url
