"""The tables. A change here needs a migration (`migrations/versions`) and its number in
`REVISIONS`.

A collector's messages are found through its folders: a row for each (epoch, account, name,
validity) that the collector has seen. A message's row has only its folder's id. No query finds
messages across collectors.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal,
    or_,
)

from reconciler.ledger.column_types import Digest, Moment, State
from reconciler.ledger.database_dialects import COMPACT, KEY, partial
from reconciler.model.outcomes import MessageState

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""The versions of the schema, oldest first. The last one is the schema below."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

stamp = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table. We write it when we make the whole schema at once."""

collectors = Table(
    "collectors",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("name", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("declared_at", Moment, nullable=False),
    # The end of the retired time that was counted so far; null while declared.
    Column("retired_at", Moment),
    # Number of messages of the current epoch, kept here because counting them takes too long.
    Column("remembered", BigInteger, nullable=False),
    # This and the next four are totals.
    Column("sessions", BigInteger, nullable=False),
    Column("collected", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("retry_reason", Text),
    Column("retry_message", Text),
    Column("retry_failures", Integer),
    Column("retry_at", Moment),
    Column("retry_digest", Text),
    Column("retry_stamp", Text),
    Column("standing", JSON(none_as_null=True)),  # `model.history.AccountState`
    # When a person confirmed the place of the Maildirs.
    Column("maildirs_accepted_at", Moment),
    # The name in the identity of deliveries, where it differs from `name`.
    Column("first_name", Text),
    Column("retired_for", BigInteger),  # microseconds that were counted so far
    Column("alerts", JSON(none_as_null=True)),  # `model.history.Alert`, the newest first
    Column("retry_asked", Float),  # seconds to wait that the server asked for
    UniqueConstraint("name"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("protocol", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("username", Text, nullable=False),
    UniqueConstraint("host", "username", "protocol", "port"),
)

folders = Table(
    "folders",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("collector_id", KEY, ForeignKey(collectors.c.id, ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("account_id", KEY, ForeignKey(accounts.c.id), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("validity", BigInteger, nullable=False),
    UniqueConstraint("collector_id", "epoch", "account_id", "name", "validity"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("folder_id", KEY, ForeignKey(folders.c.id, ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("occurrence", SmallInteger, nullable=False),
    Column("state", State, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("header", Digest),
    Column("content", Digest),
    Column("reason", Text, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    # Seconds after `last_at` before the next attempt, where the receiver asked for them.
    Column("wait", Float),
    UniqueConstraint("folder_id", "key", "occurrence"),
    # Finds a message again after the server renumbered its folder.
    Index("ix_messages_header", "folder_id", "header"),
)
NOTABLE = or_(
    messages.c.state != literal(MessageState.COLLECTED, State, literal_execute=True),
    messages.c.deleted_at.is_not(None),
    messages.c.reason != literal("", Text, literal_execute=True),
)
"""The condition for a message that is more than just collected: mostly a few rows among many.
Queries with this condition use the index. For that, the values must be part of the statement's
text."""
Index("ix_messages_notable", messages.c.folder_id, **partial(NOTABLE))

deliveries = Table(
    "deliveries",
    metadata,
    Column("message_id", KEY, ForeignKey(messages.c.id, ondelete="CASCADE"), primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at", Moment, nullable=False),
    **COMPACT,
)

sessions = Table(
    "sessions",
    metadata,
    Column("collector_id", KEY, ForeignKey(collectors.c.id, ondelete="CASCADE"), primary_key=True),
    # The collector's total of sessions, this one included.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("listed", Integer, nullable=False),
    Column("collected", Integer, nullable=False),
    Column("skipped_reasons", JSON, nullable=False),
    Column("parked", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("left", Integer, nullable=False),
    Column("deleted", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("notes", JSON, nullable=False),
    **COMPACT,
)

last_good = Table(
    "last_good",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("base", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Moment, nullable=False),
    **COMPACT,
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("term", BigInteger, nullable=False),  # grows whenever a process takes the lease
    **COMPACT,
)

mounts = Table(
    "mounts",
    metadata,
    Column("point", Text, primary_key=True),
    Column("file_system", JSON, nullable=False),  # `mounts.Mount` without its point
    **COMPACT,
)
