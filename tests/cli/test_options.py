"""The common options: after the verb, from the environment, and what they become."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.ledger import open_ledger
from reconciler.model.settings import Listen, Settings
from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp


def ran(app: FakeApp) -> Settings:
    return app.ran[-1][0]


def test_defaults(run: Run, app: FakeApp) -> None:
    assert run("run").exit_code == 0
    assert app.ran == [
        (
            Settings(state_dir=Path("state"), state_url="sqlite:///state/ledger.sqlite3"),
            Path("collectors.d"),
            False,
        )
    ]


def test_all_of_them(run: Run, app: FakeApp) -> None:
    run(
        "run",
        "m.d",
        "--once",
        "--state-dir",
        "/s",
        "--state",
        "postgresql://db/m",
        "--listen",
        "[::1]:8080",
        "--log-format",
        "json",
        "--log-level",
        "debug",
        "--max-sessions",
        "5",
        "--host-connections",
        "2",
        "--host-logins-per-minute",
        "30",
        "--allow-inline-secrets",
        "--support-address",
        "a@b.example",
        "--token-file",
        "/t",
        "--public-url",
        "https://mail.example/",
        "--trust-proxy",
        "127.0.0.1",
        "--trust-proxy",
        "fd00::/8",
    )

    assert app.ran == [
        (
            Settings(
                state_dir=Path("/s"),
                state_url="postgresql://db/m",
                listen=Listen("::1", 8080),
                log_format="json",
                log_level="debug",
                max_sessions=5,
                host_connections=2,
                host_logins_per_minute=30,
                allow_inline_secrets=True,
                support_address="a@b.example",
                tokens=Path("/t"),
                public_url="https://mail.example",
                trusted_proxies=("127.0.0.1/32", "fd00::/8"),
            ),
            Path("m.d"),
            True,
        )
    ]


def test_absolute_state_directory_makes_an_absolute_url(run: Run, app: FakeApp) -> None:
    run("run", "--state-dir", "/var/lib/m")

    assert ran(app).state_url == "sqlite:////var/lib/m/ledger.sqlite3"


def test_environment(run: Run, app: FakeApp) -> None:
    run(
        "run",
        env={
            "MAILCOLLECTOR_STATE_DIR": "/s",
            "MAILCOLLECTOR_MANIFESTS": "env.d",
            "MAILCOLLECTOR_MAX_SESSIONS": "7",
            "MAILCOLLECTOR_LISTEN": "127.0.0.1:80",
            "MAILCOLLECTOR_ALLOW_INLINE_SECRETS": "1",
        },
    )

    assert ran(app) == Settings(
        state_dir=Path("/s"),
        state_url="sqlite:////s/ledger.sqlite3",
        manifests=Path("env.d"),
        listen=Listen("127.0.0.1", 80),
        max_sessions=7,
        allow_inline_secrets=True,
    )
    assert app.ran[-1][1] == Path("env.d")


def test_command_line_wins_over_the_environment(run: Run, app: FakeApp) -> None:
    environment = {"MAILCOLLECTOR_MANIFESTS": "env.d", "MAILCOLLECTOR_MAX_SESSIONS": "7"}

    run("run", "m.d", "--max-sessions", "3", env=environment)

    assert (ran(app).max_sessions, app.ran[-1][1]) == (3, Path("m.d"))


def test_directory_twice(run: Run, app: FakeApp) -> None:
    assert run("run", "m.d", "--manifests", "other.d").exit_code == 2
    assert run("run", "m.d", "--manifests", "m.d").exit_code == 0


@pytest.mark.parametrize(
    "address",
    [
        "8080",
        ":8080",
        "localhost",
        "localhost:http",
        "h:65536",
        "::1:8080",
        "[]:80",
        "h:²",
        "h:" + "9" * 5000,
    ],
)
def test_listen_is_host_and_port(run: Run, app: FakeApp, address: str) -> None:
    result = run("run", "--listen", address)

    assert result.exit_code == 2
    assert not app.ran


def test_S6_password_of_an_unsupported_ledger_is_not_told(run: Run, app: FakeApp) -> None:
    result = run("run", "--state", "mysql://me:canary@db/m")

    assert result.exit_code == 2
    assert "sqlite:///FILE" in result.stderr
    assert "canary" not in result.output


@pytest.mark.parametrize(
    "arguments", [["--max-sessions", "0"], ["--log-level", "loud"], ["--nonsense"], ["a", "b"]]
)
def test_usage_errors_exit_2(run: Run, app: FakeApp, arguments: list[str]) -> None:
    assert run("run", *arguments).exit_code == 2


def test_unknown_verb_is_told_with_the_nearest(run: Run) -> None:
    result = run("descrbe", "sales")

    assert result.exit_code == 2
    assert "there is no verb 'descrbe': did you mean describe?" in result.stderr


@pytest.mark.parametrize(
    "name",
    [
        "st?x",
        "st%41",
        "a?b=c&mode=ro",
        "%",
        "x#%23",
        "with space",
        "состояние",
        os.fsdecode(b"st\xff"),
    ],
)
def test_the_ledger_is_in_the_state_directory_whatever_that_is_called(
    run: Run, app: FakeApp, tmp_path: Path, name: str
) -> None:
    run("run", "m.d", "--state-dir", str(tmp_path / name))
    (tmp_path / name).mkdir()
    open_ledger(ran(app).state_url).close()
    assert (tmp_path / name / "ledger.sqlite3").exists()
    assert [path for path in tmp_path.glob("**/*.sqlite3") if path.parent.name != name] == []
