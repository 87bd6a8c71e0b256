"""The file of tokens: what is kept, and what is refused."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile, TokenRefused

GOOD = {
    "name": "anna",
    "role": "view",
    "hash": f"sha256:{'0' * 64}",
    "createdAt": "2026-01-01T00:00:00Z",
}


@pytest.fixture
def file(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "\x00",
        "null",
        "[" * 100_000,
        json.dumps({"tokens": [GOOD, GOOD]}),
        json.dumps({"tokens": [{**GOOD, "role": "admin"}]}),
        json.dumps({"tokens": [{**GOOD, "hash": "sha256:ё"}]}),
        json.dumps({"tokens": [{**GOOD, "hash": ""}]}),
        json.dumps({"tokens": [{**GOOD, "name": "\x1b[2J"}]}),
        json.dumps({"tokens": [GOOD], "signingKey": "guess"}),
        json.dumps({"tokens": [GOOD], "version": 2}),
        json.dumps({"tokens": [GOOD]}) + " " * (1 << 20) + "x",
    ],
)
def test_what_is_no_file_of_tokens_is_refused_and_not_quoted(file: TokenFile, content: str) -> None:
    file.path.write_text(content)
    file.path.chmod(0o600)
    for look in (file.tokens, lambda: file.find("x"), lambda: file.create("bob", Role.VIEW)):
        with pytest.raises(TokenRefused) as refused:
            look()
        assert "0" * 64 not in str(refused.value)
        assert "guess" not in str(refused.value)
    assert file.path.read_text() == content, "nothing overwrites it"


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
def test_what_is_no_file_is_refused_at_once(file: TokenFile, kind: str) -> None:
    if kind == "directory":
        file.path.mkdir()
    else:
        os.mknod(file.path, 0o600 | (stat.S_IFIFO if kind == "fifo" else stat.S_IFSOCK))
    with pytest.raises(TokenRefused):
        file.tokens()


def test_a_change_while_it_runs_counts_at_the_next_look(file: TokenFile) -> None:
    running, secret = TokenFile(file.path), file.create("anna", Role.VIEW)
    assert running.find(secret)
    file.path.chmod(0o606)
    with pytest.raises(TokenRefused, match="others may write"):
        running.find(secret)
    file.path.chmod(0o600)
    assert running.find(secret)
    file.revoke("anna")
    assert running.find(secret) is None
    again = file.create("anna", Role.VIEW)
    assert running.find(again)
    file.path.unlink()
    assert running.find(again) is None


def test_two_that_make_tokens_at_once_lose_none(file: TokenFile) -> None:
    makers = [
        threading.Thread(target=TokenFile(file.path).create, args=(f"user{number}", Role.VIEW))
        for number in range(12)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(file.tokens()) == 12


def test_a_read_only_file_lets_its_tokens_in(file: TokenFile) -> None:
    """A Secret of Kubernetes is mounted read-only, by a link, and belongs to root."""
    secret = file.create("anna", Role.VIEW)
    file.path.chmod(0o444)
    link = file.path.with_name("link.json")
    link.symlink_to(file.path.name)
    assert TokenFile(link).find(secret)
