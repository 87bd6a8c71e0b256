"""What is no file where a file of the state directory should be: an error that says so."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.control.service_pause import FILE as PAUSE_FILE
from reconciler.control.service_pause import ServicePause
from reconciler.control.state_ownership import LOCK, StateOwned, owned
from reconciler.ledger import open_ledger
from reconciler.model.errors import CollectorError, LedgerUnavailable
from reconciler.web.access.ended_logins import FILE as ENDED
from reconciler.web.access.ended_logins import EndedLogins
from reconciler.web.access.token_file import TokenFile, TokenRefused
from reconciler.web.http_server import SOCKET, ListenRefused, _control_socket
from tests.captured_logs import capture_logs


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_PATH)
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


KINDS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a directory": Path.mkdir,
    "a socket": _socket,
    "a symbolic link": lambda path: path.symlink_to("/nowhere/at-all"),
}


def _own(state: Path) -> None:
    with owned(state):
        pass


def _open(state: Path) -> None:
    open_ledger(f"sqlite:///{state}/ledger.sqlite3").close()


def _tokens(state: Path) -> None:
    TokenFile(state / "tokens.json").tokens()


def _listen(state: Path) -> None:
    with _control_socket(state):
        pass


FILES: dict[str, tuple[Callable[[Path], None], type[CollectorError]]] = {
    LOCK: (_own, StateOwned),
    "ledger.sqlite3": (_open, LedgerUnavailable),
    "ledger.sqlite3-wal": (_open, LedgerUnavailable),
    "ledger.sqlite3-shm": (_open, LedgerUnavailable),
    "tokens.json": (_tokens, TokenRefused),
    SOCKET: (_listen, ListenRefused),
}
HARMLESS = {("tokens.json", "a symbolic link"), (SOCKET, "a socket")}
"""No token yet behind a link that leads to nothing; a socket that a daemon left behind."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_it_is_named_with_what_it_is_and_what_to_do(tmp_path: Path, name: str, kind: str) -> None:
    use, error = FILES[name]
    KINDS[kind](tmp_path / name)
    if (name, kind) in HARMLESS:
        use(tmp_path)
        return
    with pytest.raises(error, match=f"{kind}.*remove it") as caught:
        use(tmp_path)
    assert name in str(caught.value)
    assert os.path.lexists(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pause_that_is_no_file_pauses_and_can_be_ended(tmp_path: Path, kind: str) -> None:
    path = tmp_path / PAUSE_FILE
    KINDS[kind](path)
    pause = ServicePause(path)
    assert pause.current is not None
    assert kind in pause.current.why
    if kind != "a directory":
        pause.begin("anna", "", datetime.now(UTC))
        pause.end()
        assert not os.path.lexists(path)


@pytest.mark.parametrize("kind", KINDS)
def test_ended_logins_that_are_no_file_hold_until_the_process_ends(
    tmp_path: Path, kind: str
) -> None:
    KINDS[kind](tmp_path / ENDED)
    with capture_logs() as logs:
        ended = EndedLogins(tmp_path / ENDED)
        ended.add("link", 60)
    assert "link" in ended
    assert [kind in one["error"] for one in logs] == [True, True]


@pytest.mark.parametrize("kind", ["a file", "a FIFO", "a socket"])
def test_a_state_directory_that_is_none(tmp_path: Path, kind: str) -> None:
    state = tmp_path / "state"
    KINDS.get(kind, Path.touch)(state)
    with pytest.raises(StateOwned, match=f"it is {kind}, not a directory; name another"):
        _own(state)
