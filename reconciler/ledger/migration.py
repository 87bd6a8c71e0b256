"""Migrations, run by Alembic."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Bring the tables up to date, inside the transaction of `connection`."""
    config = Config()
    config.set_main_option("script_location", "reconciler.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
