"""A user of the machine against a delivery by root: `python -m tests.destinations.race
[DELIVERIES]`.

Processes of the user swap the directories of his Maildir, and the names in them, for links, FIFOs
and other directories, without pause, while root delivers into it. The user wins when anything
happens as root in a directory of his, or anything at all outside of it: in directories of root and
of another user that his links lead to.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler.destinations.maildir import Maildir, directories
from reconciler.model.errors import DestinationUnavailable
from reconciler.model.messages import Account, DeliveryId, Folder
from reconciler.model.outcomes import Delivered

ALICE, BOB = 61_001, 61_002
"""Numbers that nobody has."""
FOLDER = Folder(Account("imap", "imap.example.org", 993, "sales"), "INBOX", 7)
_EXCHANGE = 2
_HERE = -100
_TURNS = 28
_library = ctypes.CDLL(None)


class Arena:
    """`home` is alice's, `box` her Maildir somewhere in it; `outside` are directories of root and
    of bob."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="race"))
        self.base.chmod(0o755)
        self.home = self.base / "home" / "alice"
        self.box = self.home / "mail" / "Maildir"
        self.outside = [
            self.base / "root",
            self.base / "bob",
            self.base / "root" / "box",
            self.base / "bob" / "box",
        ]
        self.box.parent.mkdir(parents=True)
        for place in (self.home, self.box.parent):
            os.chown(place, ALICE, ALICE)
        for place in self.outside:
            for part in ("", "tmp", "new", "cur"):
                (place / part).mkdir(exist_ok=True)
                if place.relative_to(self.base).parts[0] == "bob":
                    os.chown(place / part, BOB, BOB)
            (place / "letter").write_text("private")
            (place / "Maildir").symlink_to(place)
        self._before = self._seen()

    def remove(self) -> None:
        shutil.rmtree(self.base)

    def won(self) -> list[str]:
        """What the user brought about; what is root's in his home, what differs outside."""
        hers = [
            str(path)
            for path in (self.home, *self.home.rglob("*"))
            if (status := path.lstat()).st_uid != ALICE
            or (path.is_file() and status.st_gid != ALICE)
        ]
        now = self._seen()
        return hers + [
            f"{path}: {self._before.get(path)} -> {now.get(path)}"
            for path in self._before.keys() | now.keys()
            if self._before.get(path) != now.get(path)
        ]

    def _seen(self) -> dict[str, tuple[int, ...]]:
        return {
            str(path): (
                status.st_uid,
                status.st_gid,
                status.st_mode,
                status.st_nlink,
                status.st_ino,
            )
            for place in (self.base / "root", self.base / "bob")
            for path in (place, *place.rglob("*"))
            if (status := path.lstat())
        }


@contextmanager
def attackers(arena: Arena, attacks: Sequence[Callable[[Path, Arena], None]]) -> Iterator[None]:
    """A process of alice's for each."""
    children = [_child(arena, attack) for attack in attacks]
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _child(arena: Arena, attack: Callable[[Path, Arena], None]) -> int:
    if child := os.fork():
        return child
    try:
        os.setgroups([])
        os.setresgid(ALICE, ALICE, ALICE)
        os.setresuid(ALICE, ALICE, ALICE)
        random.seed(os.getpid())
        parent = os.getppid()
        while os.getppid() == parent:
            with suppress(OSError):
                attack(arena.box, arena)
            _give_way(arena.box)
    finally:
        os._exit(0)


def swap_directories(box: Path, arena: Arena) -> None:
    """A directory of the Maildir, or the whole, is exchanged for a link or a FIFO, and back, in one
    step."""
    victim = random.choice((box, box / "tmp", box / "new", box / "cur"))
    bait = arena.home / f"bait{os.getpid()}"
    _clear(bait)
    _plant(bait, random.choice(arena.outside) / random.choice(("", victim.name)))
    for _ in range(2):
        if _library.renameat2(_HERE, bytes(bait), _HERE, bytes(victim), _EXCHANGE):
            break
        _pause()


def take_directories_away(box: Path, arena: Arena) -> None:
    """What is made anew is replaced as soon as it is there."""
    victim = random.choice((box / "tmp", box / "new", box / "cur", box))
    away = arena.home / f"away{os.getpid()}"
    _clear(away)
    victim.rename(away)
    _clear(away)
    target = random.choice(arena.outside) / random.choice(("", victim.name))
    for _ in range(2000):
        with suppress(OSError):
            victim.rename(away)
            victim.symlink_to(target)
            _pause()
            break
    with suppress(OSError):
        if victim.is_symlink():
            victim.unlink()


def swap_what_is_made(box: Path, arena: Arena) -> None:
    """A directory that has just been made, under whatever name, is exchanged before it is
    opened."""
    away = arena.home / f"made{os.getpid()}"
    with suppress(OSError):
        shutil.rmtree(box / random.choice(("tmp", "new", "cur")))
    before = set(os.listdir(box))  # noqa: PTH208
    for _ in range(500):
        for name in set(os.listdir(box)) - before:  # noqa: PTH208
            (box / name).rename(away)
            (box / name).symlink_to(random.choice(arena.outside))
            _pause()
            (box / name).unlink()
            _clear(away)
            return


def swap_parents(box: Path, arena: Arena) -> None:
    """What the Maildir is in is exchanged for a link to where another one is, or for a directory
    with such a link."""
    bait = arena.home / f"parent{os.getpid()}"
    _clear(bait)
    if random.random() < 0.3:
        bait.mkdir()
        (bait / "Maildir").symlink_to(random.choice(arena.outside))
    else:
        bait.symlink_to(random.choice(arena.outside))
    for _ in range(2):
        if _library.renameat2(_HERE, bytes(bait), _HERE, bytes(box.parent), _EXCHANGE):
            break
        _pause()


def exchange_parts(box: Path, arena: Arena) -> None:
    """tmp, new and cur change places; nobody may enter, or only write; what is made gets other
    groups' bits."""
    one, other = random.sample((box / "tmp", box / "new", box / "cur"), 2)
    if random.random() < 0.5:
        _library.renameat2(_HERE, bytes(one), _HERE, bytes(other), _EXCHANGE)
    else:
        one.chmod(random.choice((0, 0o200, 0o300, 0o500, 0o1777, 0o2777, 0o7000)))
        _pause()
        one.chmod(0o700)


def replace_names(box: Path, arena: Arena) -> None:
    """Files on their way, under names that can be read from the directory."""
    for part in ("tmp", "new"):
        for name in os.listdir(box / part)[-3:]:  # noqa: PTH208
            path = box / random.choice((part, "new")) / name
            with suppress(OSError):
                path.unlink()
            with suppress(OSError):
                _plant(path, random.choice(arena.outside) / "letter")


def _give_way(box: Path) -> None:
    """What stands in the way goes, for a while: where nothing is ever delivered there is nothing to
    attack."""
    for path in (box.parent, box, box / "tmp", box / "new", box / "cur"):
        with suppress(OSError):
            if not path.is_dir() or path.is_symlink():
                path.unlink()
    with suppress(OSError):
        box.parent.mkdir()
    time.sleep(random.random() ** 3 / 25)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _plant(path: Path, target: Path) -> None:
    match random.randrange(9):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.hardlink_to(target)
        case 3:
            path.touch()
            os.truncate(path, 1 << 40)
        case 4:
            with socket.socket(socket.AF_UNIX) as opened:
                opened.bind(str(path))
        case 5:  # whoever follows it comes to what he has open himself
            path.symlink_to(f"/proc/self/fd/{random.randrange(3, 20)}")
        case 6:
            path.symlink_to(f"/proc/self/{random.choice(('root', 'cwd'))}{target}")
        case _:
            path.symlink_to(target)


def _pause() -> None:
    """Mostly as long as a step takes, sometimes as long as a whole delivery."""
    time.sleep(random.random() ** 4 / 30)


ATTACKS = (
    swap_directories,
    take_directories_away,
    swap_what_is_made,
    replace_names,
    swap_parents,
    exchange_parts,
)


def race(deliveries: int) -> tuple[Counter[str], list[str]]:
    """What became of them, and what the user won."""
    arena, told = Arena(), Counter[str]()
    try:
        for turn in range(_TURNS):  # one attack at a time: several spoil each other's
            with attackers(arena, ATTACKS if turn % 7 == 6 else [ATTACKS[turn % 7]]):
                for number in range(turn, deliveries, _TURNS):
                    told[_deliver(arena, number)] += 1
        won = arena.won()
        _clear(arena.box.parent)
        told["afterwards " + _deliver(arena, deliveries)] += 1
        return told, won
    finally:
        arena.remove()


def _deliver(arena: Arena, number: int) -> str:
    """As a new session would: what was made is found or made again, every tenth time as a new
    process would."""
    if number // _TURNS % 10 == 0:
        directories._synced.clear()
    maildir = Maildir(str(arena.box), create=True, shared=number // _TURNS % 2 == 0)
    try:
        message = DeliveryId("collector", 1, FOLDER, str(number))
        staged = [maildir.stage(message, [b"mail %d" % number], ["a@b.example"])]
        [(_, [outcome])] = maildir.commit(staged)
        maildir.settle(staged)
        return "delivered" if isinstance(outcome, Delivered) else "put off"
    except DestinationUnavailable:
        return "held"
    finally:
        maildir.finish()


def main() -> int:
    deliveries = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    began = time.monotonic()
    told, won = race(deliveries)
    seconds = time.monotonic() - began
    print(f"{deliveries} deliveries in {seconds:.0f} s: {dict(told)}; won: {len(won)}")
    for line in won[:20]:
        print(line)
    return int(bool(won))


if __name__ == "__main__":
    sys.exit(main())
