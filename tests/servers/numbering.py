"""How Dovecot numbers the messages of an INBOX, and ways to make it number them anew (UIDVALIDITY,
UIDs and UIDLs)."""

from __future__ import annotations

import os
import re
import shutil

from tests.servers.dovecot import Dovecot


def uidlist(dovecot: Dovecot, user: str) -> tuple[int, list[str]]:
    """UIDVALIDITY, and the files in the order of their UIDs. FileNotFoundError: nobody has opened
    it yet."""
    header, *lines = (dovecot.maildir(user) / "dovecot-uidlist").read_text().splitlines()
    return int(re.findall(r"V(\d+)", header)[0]), [line.partition(" :")[2] for line in lines]


def number(dovecot: Dovecot, user: str, validity: int, names: list[str]) -> None:
    """Have the server number these files in this order, from 1, and whatever else it finds after
    them."""
    forget_indexes(dovecot, user)
    path = dovecot.maildir(user) / "dovecot-uidlist"
    path.write_text(
        f"3 V{validity} N{len(names) + 1}\n"
        + "".join(f"{uid} :{name}\n" for uid, name in enumerate(names, 1))
    )
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def forget_indexes(dovecot: Dovecot, user: str) -> None:
    for path in dovecot.maildir(user).glob("dovecot*"):
        path.unlink()


def new_validity(dovecot: Dovecot, user: str) -> None:
    validity, names = uidlist(dovecot, user)
    number(dovecot, user, validity + 1, names[::-1])


def recreated(dovecot: Dovecot, user: str) -> None:
    """With the same mail, in another order."""
    validity, _ = uidlist(dovecot, user)
    mail = dovecot.messages(user)
    shutil.rmtree(dovecot.maildir(user))
    dovecot.deliver(user, mail[::-1])
    number(dovecot, user, validity + 1, [])
