"""`mailcollector token`: shown once, kept as a hash, with or without a daemon."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from reconciler.web.access.login_sessions import LoginSessions
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import PREFIX, TokenFile
from tests.cli.conftest import Run
from tests.cli.fake_app import FakeApp
from tests.cli.fake_daemon import FakeDaemon


def test_a_token_is_printed_alone_and_kept_as_a_hash(run: Run, elsewhere: Path) -> None:
    result = run("token", "create", "--role", "operate", "--name", "anna")

    assert result.exit_code == 0, result.stderr
    token = result.stdout.removesuffix("\n")
    assert token.startswith(PREFIX)
    assert token.split() == [token]
    file = elsewhere / "state" / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert token not in file.read_text()
    found = TokenFile(file).find(token)
    assert found is not None
    assert (found.name, found.role) == ("anna", Role.OPERATE)
    assert TokenFile(file).find(token + "x") is None


def test_tokens_are_listed_and_revoked(run: Run) -> None:
    run("token", "create", "--role", "view", "bob")
    run("token", "create", "--role", "edit", "anna")

    assert run("token", "list", "-o", "name").stdout == "anna\nbob\n"
    listed = json.loads(run("token", "list", "-o", "json").stdout)
    assert [(one["name"], one["role"]) for one in listed] == [("anna", "edit"), ("bob", "view")]
    assert all(set(one) == {"name", "role", "createdAt"} for one in listed)
    assert run("token", "revoke", "bob").exit_code == 0
    assert run("token", "list", "-o", "name").stdout == "anna\n"
    assert run("token", "revoke", "bob").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "anna"), 2),
        (("create", "--role", "view"), 2),
        (("create", "--role", "view", "../x"), 1),
        (("create", "--role", "view", "a", "--name", "b"), 2),
        (("link", "nobody", "--listen", "127.0.0.1:80"), 1),
        (("revoke",), 2),
    ],
)
def test_what_is_no_token_is_refused(run: Run, arguments: tuple[str, ...], code: int) -> None:
    assert run("token", *arguments).exit_code == code


def test_a_name_is_taken_once(run: Run) -> None:
    run("token", "create", "--role", "view", "anna")
    assert run("token", "create", "--role", "edit", "anna").exit_code == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tokens": 1}', "\x00"])
def test_garbage_is_refused_and_stays(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "t.json"
    file.write_text(content)
    result = run("token", "create", "--role", "view", "anna", "--token-file", str(file))
    assert result.exit_code == 1
    assert file.read_text() == content


def test_a_file_that_others_may_write_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    run("token", "create", "--role", "view", "anna", "--token-file", str(file))
    file.chmod(0o666)
    result = run("token", "list", "--token-file", str(file))
    assert result.exit_code == 1
    assert "chmod go-w" in result.stderr


def test_a_link_logs_in_once(run: Run, elsewhere: Path) -> None:
    run("token", "create", "--role", "view", "anna")
    address = run("token", "link", "anna", "--public-url", "https://mail.example").stdout.strip()

    assert address.startswith("https://mail.example/login/")
    sessions = LoginSessions(TokenFile(elsewhere / "state" / "tokens.json"))
    link = address.rpartition("/")[2]
    found = sessions.redeem(link)
    assert found is not None
    assert found.name == "anna"
    assert sessions.redeem(link) is None
    assert sessions.redeem(link[:-2] + "xx") is None


def test_the_running_daemon_says_where_its_tokens_and_its_page_are(
    run: Run, daemon: FakeDaemon, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere.json"
    page = "https://mail.example"
    daemon.answers["GET /info"] = (
        200,
        {"manifests": str(tmp_path), "tokenFile": str(file), "page": page},
    )
    assert run("token", "create", "--role", "view", "anna").exit_code == 0
    assert [token.name for token in TokenFile(file).tokens()] == ["anna"]
    link = run("token", "link", "anna").stdout.strip()
    assert link.startswith(f"{page}/login/")
    redeemed = LoginSessions(TokenFile(file)).redeem(link.rpartition("/")[2])
    assert redeemed is not None
    assert redeemed.name == "anna"


def test_without_a_daemon_a_link_wants_an_address(run: Run) -> None:
    run("token", "create", "--role", "view", "anna")
    result = run("token", "link", "anna")
    assert result.exit_code == 2
    assert "--listen" in result.stderr


def test_the_variables_say_what_the_options_do(run: Run, app: FakeApp) -> None:
    env = {
        "MAILCOLLECTOR_TOKEN_FILE": "t.json",
        "MAILCOLLECTOR_PUBLIC_URL": "https://mail.example",
        "MAILCOLLECTOR_TRUST_PROXY": "127.0.0.1 fd00::/8",
    }
    assert run("run", env=env).exit_code == 0
    settings = app.ran[0][0]
    assert settings.token_file == Path("t.json")
    assert settings.public_url == "https://mail.example"
    assert settings.trusted_proxies == ("127.0.0.1/32", "fd00::/8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--public-url", "http://mail.example"),
        ("--public-url", "https://mail.example/path"),
        ("--public-url", "mail.example"),
        ("--trust-proxy", "0.0.0.0/0"),
        ("--trust-proxy", "::/0"),
        ("--trust-proxy", "proxy.example"),
    ],
)
def test_addresses_that_would_open_it_are_usage_errors(
    run: Run, arguments: tuple[str, ...]
) -> None:
    assert run("run", *arguments).exit_code == 2
