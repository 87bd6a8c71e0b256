"""A refresh token is one thing in the world: who shares it, who dies with it in hand, what a server
makes of it."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from reconciler.model import manifest_policy
from reconciler.model.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    PolicyRefused,
    SecretUnavailable,
    SourceUnsuitable,
    Throttled,
    TlsRefused,
)
from reconciler.model.manifest_policy import Allowed
from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef, SourceSpec
from reconciler.secrets import read_secret, stamp
from reconciler.secrets.oauth2 import AccessTokens, token_client
from reconciler.secrets.secret_writing import SecretFile, write_secret
from tests.descriptors import open_descriptors
from tests.servers.authorization import CLIENT, Authorization


@pytest.fixture
def server() -> Iterator[Authorization]:
    with Authorization() as running:
        running.rotates = running.detects_reuse = True
        yield running


@pytest.fixture
def refresh(tmp_path: Path, server: Authorization) -> Path:
    path = tmp_path / "refresh"
    path.write_text(server.new_refresh_token("ann") + "\n")
    path.chmod(0o600)
    return path


def source(
    server: Authorization,
    path: Path | None,
    *,
    protocol: str = "imap",
    user: str = "ann",
    folders: Any = None,
    **oauth2: Any,
) -> SourceSpec:
    declared = {
        "provider": "custom",
        "clientId": CLIENT,
        "tokenUrl": server.url("token"),
        **({"refreshToken": {"file": str(path)}} if path else {}),
        **oauth2,
    }
    return SourceSpec.model_validate(
        {
            "protocol": protocol,
            "host": "127.0.0.1",
            "username": user,
            **({"folders": folders} if folders else {}),
            "oauth2": declared,
        }
    )


def refresh_token(spec: SourceSpec) -> SecretRef:
    assert spec.oauth2 is not None
    assert spec.oauth2.refresh_token is not None
    return spec.oauth2.refresh_token


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


# Sharing


@pytest.mark.parametrize("count", [4, 16])
def test_O2_collectors_that_share_a_refresh_token_start_together(
    server: Authorization, refresh: Path, count: int
) -> None:
    """By both protocols, other folders, other scopes, a link in the path: one consent, used by one
    at a time."""
    clock = Clock()
    tokens = AccessTokens(clock)
    (refresh.parent / "way").symlink_to(refresh.parent)
    specs = [
        source(
            server,
            refresh.parent / ("way" if number % 2 else ".") / "refresh",
            protocol="pop3" if number % 3 else "imap",
            scope=f"mail.{number % 2}",
            folders=None if number % 3 else (f"F{number}",),
        )
        for number in range(count)
    ]
    with ThreadPoolExecutor(count) as threads:
        for _ in range(3):
            found = [one.secret.reveal() for one in threads.map(tokens.get, specs)]
            assert all(one in server.access for one in found)
            clock.now += 3600
    assert server.revoked == 0
    assert len(server.forms) == 6  # one for each scope and round
    assert server.refresh == {refresh.read_text().strip(): "ann"}


def test_refresh_tokens_that_stand_in_manifests_are_told_apart(server: Authorization) -> None:
    server.rotates = False
    tokens = AccessTokens()
    for user in ("ann", "ben"):
        inline = {"value": server.new_refresh_token(user)}
        found = tokens.get(source(server, None, refreshToken=inline)).secret.reveal()
        assert server.access[found] == user


@pytest.mark.parametrize("writable", [True, False])
def test_copies_of_a_refresh_token_are_one(
    server: Authorization,
    refresh: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    writable: bool,
) -> None:
    copy = tmp_path / "copy"
    copy.write_text(refresh.read_text())
    copy.chmod(0o600)
    monkeypatch.setenv("REFRESH", refresh.read_text().strip())
    if not writable:
        other = tmp_path / "link"
        other.symlink_to(copy)
        copy = other
    clock = Clock()
    tokens = AccessTokens(clock)
    specs = [
        source(server, refresh),
        source(server, copy),
        source(server, None, refreshToken={"env": "REFRESH"}),
    ]
    for _ in range(3):
        for spec in specs:
            assert tokens.get(spec).secret.reveal() in server.access
        clock.now += 3600
    assert server.revoked == 0
    if writable:
        assert len({read_secret(refresh_token(spec)).reveal() for spec in specs[:2]}) == 1


def test_O10_an_edited_source_goes_on_with_the_newest_token(
    server: Authorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in the variable is the first one for ever."""
    monkeypatch.setenv("REFRESH", server.new_refresh_token("ann"))
    clock = Clock()
    tokens = AccessTokens(clock)
    for folders in (("INBOX",), ("INBOX", "Lists/*"), None):
        tokens.get(
            source(
                server, None, folders=folders, refreshToken={"env": "REFRESH"}, scope=f"s{folders}"
            )
        )
        clock.now += 3600
    assert server.revoked == 0


def test_a_new_consent_is_used_though_the_old_one_was_kept_in_memory(
    server: Authorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    tokens, spec = AccessTokens(clock), source(server, None, refreshToken={"env": "REFRESH"})
    for user in ("ann", "bob"):
        monkeypatch.setenv("REFRESH", server.new_refresh_token(user))
        for _ in range(2):
            clock.now += 3600
            assert server.access[tokens.get(spec).secret.reveal()] == user


_PROCESS = """
import sys
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import AccessTokens
spec = SourceSpec.model_validate_json(sys.stdin.read())
for _ in range(5):
    AccessTokens().get(spec)
"""


def test_O2_other_processes_take_turns(server: Authorization, refresh: Path) -> None:
    spec = source(server, refresh).model_dump_json(by_alias=True, exclude_none=True)
    running = [
        subprocess.Popen([sys.executable, "-c", _PROCESS], stdin=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for one in running:
        assert one.stdin is not None
        one.stdin.write(spec)
        one.stdin.close()
    assert [one.wait() for one in running] == [0] * 4
    assert server.revoked == 0
    assert len(server.forms) == 20
    assert server.refresh == {refresh.read_text().strip(): "ann"}


def test_a_consent_that_is_given_meanwhile_is_not_overwritten(
    server: Authorization, refresh: Path
) -> None:
    """The old one is refused, for somebody has just consented anew: another machine, over a shared
    file system."""
    gone = Secret(refresh.read_text().strip())
    server.refresh.clear()
    fresh = server.new_refresh_token("ann")
    asked = token_client.post

    def consenting(url: str, form: Any, clients: Any, secrets: Any) -> dict[str, Any]:
        if form["refresh_token"] == gone.reveal():
            refresh.write_text(fresh)
        return asked(url, form, clients, secrets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_client, "post", consenting)
        assert server.access[AccessTokens().get(source(server, refresh)).secret.reveal()] == "ann"
    assert server.refresh == {refresh.read_text().strip(): "ann"}


# Crashes


@pytest.mark.parametrize(
    "dies", ["before the draft", "before the rename", "after the rename", "in the journal"]
)
def test_O5_a_crash_after_the_answer_loses_no_consent(
    server: Authorization, refresh: Path, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Secret(refresh.read_text().strip())
    new = Secret(server.new_refresh_token("bob"))

    class Killed(BaseException):
        """Nothing after it runs: no unlink, no truncation."""

    def killed(*_: object, **__: object) -> None:
        monkeypatch.setattr(os, "unlink", lambda *_, **__: None)
        raise Killed

    synced, written = os.fsync, os.pwrite

    def syncing(descriptor: int) -> None:
        if refresh.read_text().strip() == new.reveal():
            killed()
        synced(descriptor)

    def writing(descriptor: int, data: bytes, at: int) -> None:
        written(descriptor, data[:-9], at)
        killed()

    file = SecretFile(str(refresh)).__enter__()
    file.reserve()
    place, what = {
        "before the draft": (file, "_write"),
        "before the rename": (os, "replace"),
        "after the rename": (os, "fsync"),
        "in the journal": (os, "pwrite"),
    }[dies]
    monkeypatch.setattr(place, what, {"fsync": syncing, "pwrite": writing}.get(what, killed))
    with pytest.raises(Killed):
        file.replace(old, new)
    monkeypatch.undo()
    file._close()
    with SecretFile(str(refresh)):
        pass
    expected = old if dies == "in the journal" else new
    assert refresh.read_text() == expected.reveal() + "\n"
    assert [path.name for path in refresh.parent.iterdir()] == ["refresh"]


def test_D13_each_step_of_a_replacement_is_durable_before_the_next_one(
    refresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room for the successor, the successor in the journal, the file itself, and its name."""
    steps: list[str] = []

    def noted(call: str) -> None:
        real = getattr(os, call)

        def step(what: int | str, *arguments: object, **more: object) -> object:
            name = what if isinstance(what, str) else str(Path(f"/proc/self/fd/{what}").readlink())
            steps.append(f"{call} {Path(name).name.replace(refresh.name, 'token')}")
            return real(what, *arguments, **more)

        monkeypatch.setattr(os, call, step)

    refresh.write_text("old\n")
    for call in ("posix_fallocate", "fsync", "pwrite", "replace"):
        noted(call)
    with SecretFile(str(refresh)) as file:
        file.reserve()
        file.replace(Secret("old"), Secret("new"))
    monkeypatch.undo()
    assert refresh.read_text() == "new\n"
    assert steps == [
        "posix_fallocate .token.rotation",
        "fsync .token.rotation",
        f"fsync {refresh.parent.name}",
        "pwrite .token.rotation",
        "fsync .token.rotation",
        "fsync .token.draft",
        "replace .token.draft",
        f"fsync {refresh.parent.name}",
    ]


def test_D2_of_a_replacement_that_fails_only_the_journal_remains(
    refresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the draft: it holds a secret, and nobody would look for it."""

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    refresh.write_text("old\n")
    with SecretFile(str(refresh)) as file:
        file.reserve()
        monkeypatch.setattr(os, "replace", failing)
        with pytest.raises(SecretUnavailable, match="Input/output error"):
            file.replace(Secret("old"), Secret("new"))
    monkeypatch.undo()
    assert {path.name for path in refresh.parent.glob(f".{refresh.name}.*")} == {
        f".{refresh.name}.rotation"
    }
    with SecretFile(str(refresh)):
        assert refresh.read_text() == "new\n"


def test_a_journal_of_another_time_is_not_believed(refresh: Path) -> None:
    """Somebody consented after the crash."""
    journal = refresh.with_name(".refresh.rotation")
    for entry in (
        json.dumps({"replaces": "0" * 64, "secret": "stale"}),
        "{",
        "[]",
        "{}",
        json.dumps({"replaces": 7, "secret": "x"}),
        json.dumps({"replaces": "0" * 64, "secret": "a\nb"}),
    ):
        journal.write_text(entry + "\n")
        journal.chmod(0o600)
        before = refresh.read_text()
        with SecretFile(str(refresh)) as file:
            assert file.obstacle is None
        assert refresh.read_text() == before
        assert not journal.exists()


def test_a_full_disk_is_noticed_before_the_token_is_used(
    server: Authorization, refresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(SecretUnavailable, match="room"):
            AccessTokens().get(source(server, refresh))
    assert server.forms == []
    assert AccessTokens().get(source(server, refresh))


# Where it may be written


def test_E6_nothing_is_written_through_a_link(
    server: Authorization, refresh: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "authorized_keys"
    victim.write_text(refresh.read_text())
    refresh.unlink()
    refresh.symlink_to(victim)
    clock = Clock()
    tokens = AccessTokens(clock)
    before = victim.read_text()
    for _ in range(2):
        assert tokens.get(source(server, refresh))
        clock.now += 3600
    assert victim.read_text() == before
    assert server.revoked == 0
    with pytest.raises(SecretUnavailable, match="link"):
        write_secret(str(refresh), Secret("x"))


@pytest.mark.parametrize(
    "kind", ["hard link", "directory", "fifo", "foreign", "foreign directory", "open directory"]
)
def test_E6_only_a_file_of_our_own(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    path = place / "refresh"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text("old\n")
    if kind == "hard link":
        (tmp_path / "other").hardlink_to(path)
    if kind in {"foreign", "foreign directory"}:
        os.chown(path if kind == "foreign" else place, 12345, 12345)
    if kind == "open directory":
        place.chmod(0o777)
    with pytest.raises(SecretUnavailable):
        write_secret(str(path), Secret("new"))
    if path.is_file():
        assert path.read_text() == "old\n"


def test_where_nothing_may_be_written_a_missing_file_has_nothing_to_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with SecretFile(str(tmp_path / "refresh")) as file:
        assert file.obstacle is not None
        assert "anybody may write" in file.obstacle


def test_a_directory_that_was_removed_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SecretUnavailable, match="No such file or directory"):
        SecretFile("refresh").__enter__()


@pytest.mark.parametrize("mode", [0o700, 0o777], ids=["ours", "not to be written"])
def test_nothing_stays_open(refresh: Path, mode: int) -> None:
    before = open_descriptors()
    refresh.parent.chmod(mode)
    for _ in range(3):
        with SecretFile(str(refresh)) as file:
            assert (file.obstacle is None) == (mode == 0o700)
            with pytest.raises(SecretUnavailable, match="in use"):
                SecretFile(str(refresh), timeout=0.05).__enter__()
    assert open_descriptors() == before


def test_a_journal_that_was_removed_before_it_was_locked_is_no_lock(
    refresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever held the lock removes its file. Another process may have made a new one by then, or
    not yet."""
    journal = refresh.with_name(".refresh.rotation")
    flock, tries = fcntl.flock, 0

    def meanwhile(descriptor: int, how: int) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            journal.unlink()
        if tries == 2:
            journal.write_text("")
            journal.chmod(0o600)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    with SecretFile(str(refresh)) as file:
        assert tries == 3
        assert os.path.samestat(journal.stat(), os.fstat(file._journal))


@pytest.mark.parametrize("link", [".refresh.rotation", ".refresh.draft"])
def test_E6_names_beside_it_are_not_followed_either(
    refresh: Path, tmp_path: Path, link: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    refresh.with_name(link).symlink_to(victim)
    try:
        write_secret(str(refresh), Secret("new"))
    except (SecretUnavailable, OSError):
        assert link.endswith("rotation")
    else:
        assert refresh.read_text() == "new\n"
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "token", ["two\nlines", "a\0b", "", "x" * (1 << 17), 7, None, ["x"], "sp ace", "\ufeffbom", "é"]
)
def test_E6_a_bad_answer_does_not_cost_the_old_token(
    server: Authorization, refresh: Path, token: object
) -> None:
    before = refresh.read_text()
    server.bent = [(200, json.dumps({"access_token": "good", "refresh_token": token}).encode())]
    assert AccessTokens().get(source(server, refresh)).secret.reveal() == "good"
    assert refresh.read_text() == before


def test_a_good_refresh_token_is_kept_though_the_access_token_is_bad(
    server: Authorization, refresh: Path
) -> None:
    server.bent = [
        (200, json.dumps({"access_token": "b\nad", "refresh_token": "successor"}).encode())
    ]
    with pytest.raises(Exception, match="no access token"):
        AccessTokens().get(source(server, refresh))
    assert refresh.read_text() == "successor\n"
    assert stat.S_IMODE(refresh.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "answer",
    [
        {"error": None},
        {"error": ""},
        {"status": 201},
        {"token_type": None},
        {"token_type": ""},
        {"token_type": " bEARER "},
        {"expires_in": 1e308},
        {"expires_in": "1e308"},
        {"expires_in": "Infinity"},
    ],
    ids=str,
)
def test_a_sloppy_answer_is_taken_for_what_it_says(
    server: Authorization, refresh: Path, answer: dict[str, Any]
) -> None:
    """What cannot be refused without losing the successor, and cannot be misunderstood."""
    server.bent = [
        (
            int(answer.pop("status", 200)),
            json.dumps({"access_token": "good", "refresh_token": "successor", **answer}).encode(),
        )
    ]
    tokens, spec = AccessTokens(), source(server, refresh)
    assert tokens.get(spec).secret.reveal() == "good"
    assert refresh.read_text() == "successor\n"
    expiry = tokens.expiry(spec)
    assert expiry is None or datetime.fromtimestamp(expiry, UTC) < datetime.now(UTC) + timedelta(
        days=400
    )


@pytest.mark.parametrize(
    "end", [b"Content-Length: 500\r\n\r\n%s", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"]
)
def test_an_answer_whose_end_is_missing_is_whole_where_its_object_is(
    server: Authorization, refresh: Path, end: bytes
) -> None:
    body = json.dumps({"access_token": "good", "refresh_token": "successor"}).encode()
    body = end % ((len(body), body) if end.count(b"%") == 2 else body)
    with Raw(lambda: [b"HTTP/1.1 200 OK\r\n" + body]) as raw:
        assert (
            AccessTokens().get(source(server, refresh, tokenUrl=raw.url)).secret.reveal() == "good"
        )
    assert refresh.read_text() == "successor\n"


def test_a_refresh_token_that_somebody_writes_while_a_new_one_is_asked_for_stays(
    server: Authorization, refresh: Path
) -> None:
    """An editor knows no lock. Whoever puts an old text of the same token back does not mean
    that."""
    old = refresh.read_text()
    texts = iter(["another consent's\n", old])

    def answer() -> Iterator[bytes]:
        refresh.write_text(next(texts))
        body = json.dumps(
            {"access_token": "good", "refresh_token": f"successor-{len(raw.heard)}"}
        ).encode()
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with Raw(answer) as raw:
        spec = source(server, refresh, tokenUrl=raw.url)
        assert AccessTokens().get(spec)
        assert refresh.read_text() == "another consent's\n"
        refresh.write_text(old)
        assert AccessTokens().get(spec)
    assert refresh.read_text() == "successor-2\n"


def test_our_own_replacing_of_a_token_is_no_reason_to_log_in_again(
    server: Authorization, refresh: Path
) -> None:
    """A collector whose login was refused waits until somebody writes the file, however often
    others replace the token."""
    ref = SecretRef.model_validate({"file": str(refresh)})
    clock = Clock()
    tokens = AccessTokens(clock)
    before, text = stamp(ref, replaced_by_us=True), refresh.read_text()
    for _ in range(2):
        assert tokens.get(source(server, refresh))
        clock.now += 3600
    assert refresh.read_text() != text
    assert stamp(ref, replaced_by_us=True) == before
    write_secret(str(refresh), Secret("consent"))
    assert stamp(ref, replaced_by_us=True) != before


# What the endpoint does


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, "1800", 1800),
        (503, "120", 120),
        (429, "date", 600),
        (503, "date", 600),
        (429, "date without a zone", 600),
        (429, "soon", None),
        (429, "9" * 30, 7 * 86400),
    ],
)
def test_O3_retry_after_in_both_forms_and_codes(
    server: Authorization, refresh: Path, status: int, header: str, wait: float | None
) -> None:
    clock = Clock()
    then = datetime.now(UTC) + timedelta(seconds=600)
    dates = {
        "date": format_datetime(then, usegmt=True),
        "date without a zone": format_datetime(then.replace(tzinfo=None)),
    }
    server.headers["Retry-After"] = dates.get(header, header)
    server.bent = [(status, b"{}")]
    tokens, spec = AccessTokens(clock), source(server, refresh)
    with pytest.raises(Throttled) as caught:
        tokens.get(spec)
    assert caught.value.retry_after == (wait if wait is None else pytest.approx(wait, abs=30))
    if wait is not None:
        clock.now += wait / 2
        with pytest.raises(Throttled) as again:  # `check`, say: nobody is asked
            tokens.get(spec)
        assert again.value.retry_after == pytest.approx(wait / 2, abs=30)
        assert len(server.forms) == 1
        clock.now += wait
    assert tokens.get(spec)


@pytest.mark.parametrize(
    ("accepted", "declared", "ways"),
    [
        ({"basic"}, None, ["basic"]),
        ({"form"}, None, ["basic", "form"]),
        ({"form"}, "form", ["form"]),
        ({"basic", "form"}, "basic", ["basic"]),
    ],
)
def test_O8_how_the_client_s_secret_is_sent(
    server: Authorization,
    refresh: Path,
    monkeypatch: pytest.MonkeyPatch,
    accepted: set[str],
    declared: str | None,
    ways: list[str],
) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "s3cret:+%ü")
    server.client_auth = accepted
    more = {"clientAuth": declared} if declared else {}
    assert AccessTokens().get(
        source(server, refresh, clientSecret={"env": "CLIENT_SECRET"}, **more)
    )
    assert server.ways == ways
    assert server.forms[-1]["client_secret"] == "s3cret:+%ü"
    assert server.revoked == 0


@pytest.mark.parametrize(
    ("error", "kind", "wait"),
    [
        ({"error": "slow_down"}, Throttled, 77),
        ({"error": "temporarily_unavailable"}, Throttled, 77),
        ({"error": "consent_required"}, AuthenticationFailed, None),
        ({"error": {"code": 7}}, SourceUnsuitable, None),
        ({"error": "INVALID_GRANT"}, AuthenticationFailed, None),
        ({"error": "interaction_required"}, AuthenticationFailed, None),
    ],
)
def test_errors_of_the_protocol(
    server: Authorization,
    refresh: Path,
    error: dict[str, object],
    kind: type[Exception],
    wait: float | None,
) -> None:
    server.headers["Retry-After"] = "77"
    server.bent = [(400, json.dumps(error).encode())]
    with pytest.raises(
        kind, match="mailcollector oauth2" if kind is AuthenticationFailed else "no access"
    ) as caught:
        AccessTokens().get(source(server, refresh))
    assert getattr(caught.value, "retry_after", None) == wait


def test_invalid_grant_says_what_to_do(server: Authorization, refresh: Path) -> None:
    server.refresh.clear()
    with pytest.raises(AuthenticationFailed, match="run `mailcollector oauth2 sales`"):
        AccessTokens().get(source(server, refresh), collector="sales")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "https://127.0.0.2/",
        "http://localhost/",
        "https://[::1]/",
        "https://LOCALHOST./x",
        "http://127.1/",
        "https://user:pw@example.org/",
        "https:///x",
        "https://example.org:99999/",
        "file:///etc/passwd",
        "https://exa mple.org/",
    ],
)
def test_E7_no_token_endpoint_on_this_machine_or_without_tls(
    refresh: Path, server: Authorization, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises((SourceUnsuitable, ConnectionFailed)):
        AccessTokens().get(
            source(server, refresh, tokenUrl=url).model_copy(update={"host": "imap.example.org"})
        )


def test_E7_nor_behind_a_name_that_leads_here(
    server: Authorization, refresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(server.url("")).port
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
    )
    spec = source(server, refresh, tokenUrl=f"https://id.example.org:{port}/token")
    with pytest.raises(SourceUnsuitable, match="on this machine"):
        AccessTokens().get(spec.model_copy(update={"host": "imap.example.org"}))
    assert server.forms == []


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"["),
    ],
)
def test_B4_everything_that_the_server_sends_is_bounded(
    server: Authorization, refresh: Path, head: bytes, piece: bytes
) -> None:
    """Not only what is in its answer: the rest takes time as well, until the deadline."""
    with (
        Raw(lambda: [head, *[piece * 1000] * 5000]) as raw,
        pytest.raises(ConnectionFailed, match="too long"),
    ):
        AccessTokens().get(source(server, refresh, tokenUrl=raw.url))
    assert len(raw.heard) == 1


def _request(connection: socket.socket) -> bytes:
    """The whole of it: closing while some is unread would take the answer back."""
    heard = b""
    while True:
        piece = connection.recv(65536)
        heard += piece
        head, ended, body = heard.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not piece or (ended and len(body) >= int(length[1] if length else 0)):
            return heard


class Raw:
    """Answers every request with the pieces that `answer` gives, and tells what it heard."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Raw:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/token"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self.heard.append(_request(connection))
                    for piece in self._answer():
                        connection.sendall(piece)
                except OSError:
                    continue


def test_B3_a_compressed_answer_is_not_unpacked(server: Authorization, refresh: Path) -> None:
    bomb = gzip.compress(gzip.compress(b"0" * (64 << 20)))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n"
    head %= len(bomb)
    with Raw(lambda: [head, bomb]) as raw, pytest.raises(ConnectionFailed, match="compressed"):
        AccessTokens().get(source(server, refresh, tokenUrl=raw.url))
    assert b"accept-encoding: identity" in raw.heard[0].lower()


def _dribbled(head: bytes, piece: bytes) -> Iterator[bytes]:
    yield head
    while True:
        time.sleep(0.01)
        yield piece


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
        (b"H", b"T"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_B4_one_deadline_over_header_and_body(
    server: Authorization, refresh: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(token_client, "DEADLINE", 0.3)
    with Raw(lambda: _dribbled(head, piece)) as raw, pytest.raises(ConnectionFailed):
        AccessTokens().get(source(server, refresh, tokenUrl=raw.url))


def test_B4_whoever_gives_up_does_not_wait_and_the_answer_is_kept(
    server: Authorization, refresh: Path
) -> None:
    """The answer that comes later may hold the only refresh token that still works."""
    answering = threading.Event()
    body = json.dumps({"access_token": "late", "refresh_token": "successor"}).encode()

    def answer() -> Iterator[bytes]:
        assert answering.wait(20)
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    given_up: Future[None] = Future()
    given_up.set_result(None)
    tokens = AccessTokens()
    with Raw(answer) as raw:
        spec = source(server, refresh, tokenUrl=raw.url)
        with pytest.raises(ConnectionFailed, match="aborted"):
            tokens.get(spec, given_up)
        answering.set()
        assert tokens.get(spec).secret.reveal() == "late"
    assert refresh.read_text() == "successor\n"
    assert len(raw.heard) == 1


def test_an_answer_may_be_chunked_or_end_with_the_connection(
    server: Authorization, refresh: Path
) -> None:
    body = b'{"access_token": "fine"}'
    for answer in (
        [b"HTTP/1.1 200 OK\r\n\r\n", body],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n", body, b"\r\n0\r\n\r\n"],
    ):
        with Raw(lambda answer=answer: answer) as raw:
            assert (
                AccessTokens().get(source(server, refresh, tokenUrl=raw.url)).secret.reveal()
                == "fine"
            )


@pytest.mark.parametrize("trusted", [True, False])
def test_O7_a_ca_of_the_endpoint_s_own(
    server: Authorization, refresh: Path, tmp_path: Path, trusted: bool
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        body = b'{"access_token": "fine"}'
        try:
            with context.wrap_socket(connection, server_side=True) as wrapped:
                _request(wrapped)
                wrapped.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )
        except OSError:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ca = tmp_path / ("ca.pem" if trusted else "other.pem")
    spec = source(
        server,
        refresh,
        tokenUrl=f"https://127.0.0.1:{listening.getsockname()[1]}/token",
        caFile=str(ca),
    )
    if trusted:
        assert AccessTokens().get(spec).secret.reveal() == "fine"
    else:
        with pytest.raises(TlsRefused, match=r"source\.oauth2\.caFile"):
            AccessTokens().get(spec)
    thread.join()
    listening.close()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("variable", "form", "sent"),
    [
        ("https_proxy", "http://{}", None),
        ("HTTPS_PROXY", "{}", None),
        ("all_proxy", "http://{}/", None),
        (
            "https_proxy",
            "http://us%40er:pass:word@{}",
            b"Proxy-Authorization: Basic dXNAZXI6cGFzczp3b3Jk\r\n",
        ),
    ],
)
def test_a_proxy_of_the_environment(
    refresh: Path,
    server: Authorization,
    no_proxies: None,
    variable: str,
    form: str,
    sent: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Raw(lambda: [b"HTTP/1.1 407 pass:word wanted\r\nContent-Length: 0\r\n\r\n"]) as proxy:
        monkeypatch.setenv(variable, form.format(urlsplit(proxy.url).netloc))
        with pytest.raises(ConnectionFailed, match=r"id\.example\.org.*407"):
            AccessTokens().get(source(server, refresh, tokenUrl="https://id.example.org/token"))
    assert proxy.heard[0].startswith(b"CONNECT id.example.org:443 HTTP/1.1\r\n")
    assert (b"Proxy-Authorization" in proxy.heard[0]) == (sent is not None)
    assert sent is None or sent in proxy.heard[0]


@pytest.mark.parametrize("host", ["id.example.org", "elsewhere.example.net", "192.0.2.7"])
def test_E7_behind_a_proxy_the_policy_judges_the_endpoint_by_its_name(
    no_proxies: None, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy looks the name up, so nobody here sees the address: an allowed network says nothing
    of it. What the policy refuses, the proxy never hears of."""
    monkeypatch.setattr(
        manifest_policy, "_now", Allowed(tokens=("id.example.org", "198.51.100.0/24"))
    )
    with Raw(lambda: [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"]) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.removesuffix("/token"))
        fine = host == "id.example.org"
        with pytest.raises(
            ConnectionFailed if fine else PolicyRefused,
            match="502" if fine else f"{host}: the policy does not allow to ask it for tokens",
        ):
            token_client.get(f"https://{host}/token", None, local=False)
    assert len(proxy.heard) == fine


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "::::", "http://user:canary@", "http://127.0.0.1:99999"]
)
def test_what_is_no_proxy_is_said(
    refresh: Path,
    server: Authorization,
    no_proxies: None,
    proxy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(SourceUnsuitable, match="https_proxy") as caught:
        AccessTokens().get(source(server, refresh, tokenUrl="https://id.example.org/token"))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_where_a_server_sends_us(
    server: Authorization, refresh: Path, status: int
) -> None:
    server.headers["Location"] = server.url("elsewhere")
    server.bent = [(status, b'{"access_token": "x"}')]
    with pytest.raises(SourceUnsuitable, match=f"{status}.*elsewhere"):
        AccessTokens().get(source(server, refresh))
    assert len(server.forms) == 1


# An issuer that tells its endpoints


def test_O13_endpoints_of_an_issuer(server: Authorization, refresh: Path) -> None:
    server.issuer = True
    spec = SourceSpec.model_validate(
        {
            "protocol": "imap",
            "host": "localhost",
            "username": "ann",
            "oauth2": {
                "provider": "custom",
                "issuer": server.url("").rstrip("/"),
                "clientId": CLIENT,
                "refreshToken": {"file": str(refresh)},
            },
        }
    )
    clock = Clock()
    tokens = AccessTokens(clock)
    for _ in range(2):
        assert server.access[tokens.get(spec).secret.reveal()] == "ann"
        clock.now += 3600
    assert server.discoveries == 1


def test_O13_metadata_of_somebody_else(server: Authorization, refresh: Path) -> None:
    server.issuer = True
    spec = source(server, refresh, issuer=server.url("tenant"))
    with pytest.raises(SourceUnsuitable, match="another issuer"):
        AccessTokens().get(spec)
