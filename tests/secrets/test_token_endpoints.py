"""Where a token is asked for, what a refusal says, and which secrets count as the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpcore
import pytest

from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ProtocolViolation,
    SourceUnsuitable,
    Throttled,
)
from reconciler.model.known_providers import Endpoints
from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef
from reconciler.secrets.oauth2 import refresh_tokens, token_client
from reconciler.secrets.oauth2.refresh_tokens import RefreshTokens
from reconciler.secrets.oauth2.token_answers import ErrorAnswer, read_answer, refusal
from reconciler.secrets.oauth2.token_client import TokenClient, _proxy, post
from reconciler.secrets.oauth2.token_endpoints import Application
from reconciler.secrets.oauth2.token_request import place_of
from reconciler.secrets.secret_writing import SecretFile
from tests.captured_logs import capture_logs

ISSUER = "https://id.example.org"
_NONE = Endpoints("")


def discovered(
    monkeypatch: pytest.MonkeyPatch, metadata: Mapping[str, object], stated: Endpoints = _NONE
) -> Endpoints:
    def get(url: str, ca_file: str | None, *, local: bool) -> Mapping[str, object]:
        return {"issuer": ISSUER, **metadata}

    monkeypatch.setattr(token_client, "get", get)
    return Application(stated, "id", None, ISSUER).discovered()


def test_endpoints_are_those_of_the_metadata_unless_the_manifest_states_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = {"token_endpoint": f"{ISSUER}/t", "device_authorization_endpoint": f"{ISSUER}/d"}
    assert discovered(monkeypatch, named) == Endpoints(f"{ISSUER}/t", "", f"{ISSUER}/d")
    stated = Endpoints(f"{ISSUER}/mine", f"{ISSUER}/a")
    assert discovered(monkeypatch, named, stated) == Endpoints(
        f"{ISSUER}/mine", f"{ISSUER}/a", f"{ISSUER}/d"
    )


@pytest.mark.parametrize(
    ("metadata", "error", "says"),
    [
        ({"token_endpoint": 5}, ProtocolViolation, "no text for token_endpoint"),
        ({}, SourceUnsuitable, "name no token_endpoint"),
        ({"token_endpoint": "http://id.example.org/t"}, SourceUnsuitable, "https"),
        ({"issuer": "https://other.example"}, SourceUnsuitable, "another issuer"),
    ],
)
def test_metadata_that_nobody_can_use(
    metadata: dict[str, object],
    error: type[Exception],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(error, match=says):
        discovered(monkeypatch, metadata)


@pytest.mark.parametrize("where", ["https://id.example.org/token?x=1", "id.example.org"])
def test_a_refusal_names_the_host_alone(where: str) -> None:
    error = refusal(where, ErrorAnswer("INVALID_CLIENT", "no such"), "no access token")
    assert isinstance(error, AuthenticationFailed | SourceUnsuitable)
    assert str(error).startswith("id.example.org: no access token: INVALID_CLIENT: no such: ")


@pytest.mark.parametrize(
    ("code", "status", "asked"),
    [
        ("invalid_client", 400, ["basic", "form"]),
        ("no", 401, ["basic", "form"]),
        ("invalid_client", 401, ["basic", "form"]),
        ("invalid_grant", 400, ["basic"]),
    ],
)
def test_O8_only_where_the_client_is_refused_it_is_told_in_another_way(
    code: str, status: int, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[str] = []

    def posted(url: str, form: object, client: TokenClient, secrets: object) -> None:
        ways.append("basic" if client.basic else "form")
        raise ErrorAnswer(code, "", status)

    monkeypatch.setattr(token_client, "_posted", posted)
    clients = [TokenClient("id", Secret("s"), basic) for basic in (True, False)]
    with pytest.raises(ErrorAnswer):
        post(f"{ISSUER}/t", {}, clients, ())
    assert ways == asked


def test_each_secret_has_a_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    refs: list[dict[str, Any]] = [
        {"file": str(tmp_path / "file")},
        {"file": str(tmp_path / "other")},
        {"env": "A"},
        {"env": "B"},
        {"command": ["a"]},
        {"command": ["a", "b"]},
        {"value": "a"},
        {"value": "b"},
    ]
    places = {place_of(SecretRef.model_validate(ref)) for ref in refs} | {place_of(None)}
    assert len(places) == len(refs) + 1
    link = SecretRef.model_validate({"file": str(tmp_path / "link")})
    assert place_of(link) == place_of(SecretRef.model_validate(refs[0]))


@pytest.mark.parametrize(
    ("no_proxy", "host", "proxied"),
    [
        ("", "id.example.org", True),
        (".example.org", "id.example.org", False),
        (".example.org", "example.net", True),
        ("", "127.0.0.1", False),
    ],
)
def test_who_is_asked_without_the_proxy(
    no_proxy: str, host: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (_proxy(urlsplit(f"https://{host}/t")) is not None) is proxied


def rotate(tokens: RefreshTokens, path: Path, new: str) -> None:
    """Ask with the token in the file; the answer has a new one."""
    ref = SecretRef.model_validate({"file": str(path)})
    tokens.use(ref, "sales", lambda _: {"refresh_token": new})


def test_a_copy_of_a_refresh_token_is_replaced_together_with_it(tmp_path: Path) -> None:
    tokens = RefreshTokens()
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        path.write_text("first\n")
        path.chmod(0o600)
    rotate(tokens, paths[0], "first")
    rotate(tokens, paths[1], "second")
    assert [path.read_text() for path in paths] == ["second\n"] * 2


def test_of_the_refresh_tokens_before_some_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_tokens, "_REMEMBERED", 3)
    tokens, path = RefreshTokens(), tmp_path / "refresh"
    path.write_text("0\n")
    path.chmod(0o600)
    for number in range(1, 9):
        rotate(tokens, path, str(number))
    known = {Secret(str(number)).digest(): number for number in range(9)}
    assert sorted(known[digest] for digest in tokens._chains) == [0, 7, 8]


@pytest.mark.parametrize("kind", ["link", "foreign journal"])
def test_where_nothing_may_be_written_nothing_is_removed(tmp_path: Path, kind: str) -> None:
    path, journal = tmp_path / "refresh", tmp_path / ".refresh.rotation"
    path.write_text("old\n")
    path.chmod(0o600)
    journal.write_text("somebody's")
    journal.chmod(0o600)
    if kind == "link":
        path.rename(tmp_path / "target")
        path.symlink_to(tmp_path / "target")
    else:
        os.chown(journal, 12345, 12345)
    with SecretFile(str(path)) as file:
        assert file.obstacle is not None
        assert kind == "link" or ".refresh.rotation beside it" in file.obstacle
    assert journal.read_text() == "somebody's"


def test_what_broke_while_a_form_was_sent_is_told_in_words() -> None:
    from reconciler.secrets.oauth2 import token_transport  # noqa: PLC0415

    def broken(_: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    stream: Any = token_transport._Stream.__new__(token_transport._Stream)
    stream._connection = SimpleNamespace(socket=SimpleNamespace(sendall=broken))
    stream._arm = lambda: None
    with pytest.raises(Exception, match=r"^Broken pipe$"):
        stream.write(b"form")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (302, b"", SourceUnsuitable),
        (408, b"", ConnectionFailed),
        (425, b"", ConnectionFailed),
        (426, b"", ProtocolViolation),
        (429, b"", Throttled),
        (499, b"", ProtocolViolation),
        (500, b"", ConnectionFailed),
        (401, b"", ErrorAnswer),
        (403, b"", ErrorAnswer),
        (404, b"", ProtocolViolation),
        (400, b'{"error": "invalid_grant"}', ErrorAnswer),
        (299, b'{"error": "invalid_grant"}', ErrorAnswer),
        (300, b'{"access_token": "a"}', SourceUnsuitable),
    ],
)
def test_what_a_status_means(status: int, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_answer(httpcore.Response(status, content=body), "id.example.org", ())


def test_an_answer_of_any_good_status_is_read() -> None:
    answer = httpcore.Response(201, content=b'{"access_token": "a"}')
    assert read_answer(answer, "id.example.org", ()) == {"access_token": "a"}


@pytest.mark.parametrize(
    ("given", "warned"),
    [(None, False), ("", False), ("second", False), ("two words", True), (7, True)],
)
def test_a_refresh_token_that_cannot_be_one_is_warned_of(
    given: object, warned: bool, tmp_path: Path
) -> None:
    (tmp_path / "refresh").write_text("first\n")
    (tmp_path / "refresh").chmod(0o600)
    ref = SecretRef.model_validate({"file": str(tmp_path / "refresh")})
    with capture_logs() as logs:
        RefreshTokens().use(ref, "sales", lambda _: {"refresh_token": given})
    assert [("cannot be one" in str(line)) for line in logs] == [True] * warned
    assert (tmp_path / "refresh").read_text() == ("second\n" if given == "second" else "first\n")
