"""Folders that messages belong to: a row for each folder of an account, under one numbering, in one
epoch of a collector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, insert, select

from reconciler.ledger.database_dialects import upsert
from reconciler.ledger.tables import accounts, collectors, folders
from reconciler.ledger.transactions import Transactions
from reconciler.model.messages import NUMBERINGS, Account, Folder

T = TypeVar("T")
_AT_ONCE = 500
"""Values in one IN (…)."""

# Rows of older epochs do not join.
FOLDER = (
    select(folders.c.id)
    .join(
        collectors,
        (collectors.c.id == folders.c.collector_id) & (collectors.c.epoch == folders.c.epoch),
    )
    .join(accounts, accounts.c.id == folders.c.account_id)
    .where(
        collectors.c.name == bindparam("collector"),
        accounts.c.protocol == bindparam("protocol"),
        accounts.c.host == bindparam("host"),
        accounts.c.port == bindparam("port"),
        accounts.c.username == bindparam("username"),
        folders.c.name == bindparam("folder"),
        folders.c.validity == bindparam("validity"),
    )
)
_FOLDERS = (
    select(
        folders.c.id,
        accounts.c.protocol,
        accounts.c.host,
        accounts.c.port,
        accounts.c.username,
        folders.c.name,
        folders.c.validity,
    )
    .join(
        collectors,
        (collectors.c.id == folders.c.collector_id) & (collectors.c.epoch == folders.c.epoch),
    )
    .join(accounts, accounts.c.id == folders.c.account_id)
    .where(collectors.c.name == bindparam("collector"))
    .order_by(folders.c.id)
)


class FolderRecords(Transactions):
    """Finds the row of a folder, and adds it."""

    def current(self, collector: str, folder: Folder) -> Folder:
        """Return the folder under its latest numbering (`Folder.renumbered`)."""
        with self.reading() as connection:
            numberings = [
                known
                for known in known_folders(connection, collector).values()
                if (known.account, known.name) == (folder.account, folder.name)
                and known.validity % NUMBERINGS == folder.validity
            ]
        return max(numberings, key=lambda known: known.validity, default=folder)

    def folder_id(self, connection: Connection, collector: str, folder: Folder) -> int:
        """Return the folder's row id; insert the row where the folder is new."""
        folder_id: int | None = connection.execute(
            FOLDER, folder_parameters(collector, folder)
        ).scalar()
        if folder_id is not None:
            return folder_id
        found = connection.execute(
            select(collectors.c.id, collectors.c.epoch).where(collectors.c.name == collector)
        ).one_or_none()
        if found is None:
            raise self.unknown(collector)
        made: int = connection.execute(
            insert(folders)
            .values(
                collector_id=found.id,
                epoch=found.epoch,
                account_id=_account(connection, folder.account),
                name=folder.name,
                validity=folder.validity,
            )
            .returning(folders.c.id)
        ).scalar_one()
        return made


def known_folders(connection: Connection, collector: str) -> dict[int, Folder]:
    """Return every folder that is known in the current epoch by its row id, oldest first."""
    return {
        id_: Folder(Account(protocol, host, port, username), name, validity)
        for id_, protocol, host, port, username, name, validity in connection.execute(
            _FOLDERS, {"collector": collector}
        )
    }


def folder_parameters(collector: str, folder: Folder) -> dict[str, Any]:
    """Return the parameters of `FOLDER`."""
    account = folder.account
    return {
        "collector": collector,
        "protocol": account.protocol,
        "host": account.host,
        "port": account.port,
        "username": account.username,
        "folder": folder.name,
        "validity": folder.validity,
    }


def _account(connection: Connection, account: Account) -> int:
    """Return the account's row id; insert the row where the account is new."""
    values = {
        "protocol": account.protocol,
        "host": account.host,
        "port": account.port,
        "username": account.username,
    }
    connection.execute(upsert(connection, accounts, tuple(values)), values)
    found: int = connection.execute(select(accounts.c.id).filter_by(**values)).scalar_one()
    return found


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Cut values into lists that are short enough for one statement."""
    rest = iter(values)
    while part := list(islice(rest, _AT_ONCE)):
        yield part
