"""Where everything is measured: a private Dovecot, mailboxes, and an empty directory for each run.

Nothing is deleted before the end: where files were deleted lately, ext4 takes many times as long to
make new ones.
"""

from __future__ import annotations

import os
import pwd
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import ours
from bench.ours import Figures
from bench.peers import Account, Peer
from tests.servers.dovecot import Dovecot

IN_DAEMON = "mailcollector, a session"
ONCE = "mailcollector run --once"


class Failed(Exception):
    """A program did not do what it should have."""


class Field:
    def __init__(self, server: Dovecot, root: Path) -> None:
        self._server = server
        self._root = root
        self._owner = pwd.getpwnam("mail") if os.getuid() == 0 else None

    def account(self, protocol: str, user: str, port: int | None = None) -> Account:
        """With a directory of its own that is empty."""
        work = Path(tempfile.mkdtemp(prefix="run", dir=self._root))
        return Account(
            protocol,
            port or self._server.ports[protocol],
            user,
            self._server.password,
            self._server.ca_file,
            work,
        )

    def peer(self, peer: Peer, account: Account, letters: int) -> Figures:
        """One run of another program; it must deliver so many."""
        if not peer.makes:
            for name in ("cur", "new", "tmp"):
                (account.maildir / name).mkdir(parents=True, exist_ok=True)
        command = peer.command(account)
        floor = peer.program == sys.executable  # this interpreter may be out of other users' reach
        figures = self._run(command, account.work, as_mail=not floor)
        _expect(account.maildir, letters, command[0])
        return figures

    def once(self, account: Account, letters: int) -> Figures:
        """As a whole process; 0 letters: over an empty directory."""
        if letters:
            ours.prepared(account.work, account.password, account.maildir)
            ours.declare(account.work, "bench", account)
        else:
            (account.work / "collectors.d").mkdir(parents=True)
        figures = self._run(ours.once(account.work), account.work, as_mail=False)
        _expect(account.maildir, letters, ONCE)
        return figures

    def session(
        self, account: Account, warm: Account, letters: int, polls: int = 0
    ) -> list[Figures]:
        """A first session in a daemon that has run another collector before, then `polls` more that
        find nothing."""
        ours.prepared(account.work, account.password, account.maildir)
        ours.declare(account.work, "warm", warm)
        with ours.daemon(account.work) as daemon:
            daemon.settle("warm")
            already = _count(account.maildir)
            os.sync()
            figures = [daemon.collect("bench", account)]
            _expect(account.maildir, already + letters, IN_DAEMON)
            figures += [daemon.poll("bench") for _ in range(polls)]
            _expect(account.maildir, already + letters, IN_DAEMON)
        return figures

    def poll(self, peer: Peer, account: Account, letters: int, polls: int) -> list[Figures]:
        """What another program needs to find nothing new."""
        self.peer(peer, account, letters)
        figures = [
            self._run(peer.command(account), account.work, as_mail=True, codes=(0, 1))
            for _ in range(polls + 1)
        ]
        _expect(account.maildir, letters, peer.program)
        return figures[1:]

    def _run(
        self, command: Sequence[str], work: Path, *, as_mail: bool, codes: tuple[int, ...] = (0,)
    ) -> Figures:
        owner = self._owner if as_mail else None
        if owner:
            for path in (work, *work.rglob("*")):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        os.sync()  # what others left is not this one's to write
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            command,
            check=False,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ours.TIMEOUT,
            env={**os.environ, "HOME": str(work), "USER": "mail"},
            umask=0o077,
            user=owner and owner.pw_uid,
            group=owner and owner.pw_gid,
            extra_groups=[] if owner else None,
        )
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in codes:
            raise Failed(
                f"{command[0]} ended with {done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
            )
        return Figures(
            wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0.0
        )


def _count(maildir: Path) -> int:
    return sum(1 for name in ("new", "cur") for _ in (maildir / name).glob("*"))


def _expect(maildir: Path, letters: int, whom: str) -> None:
    if (found := _count(maildir)) != letters:
        raise Failed(f"{whom} delivered {found} of {letters} messages")
