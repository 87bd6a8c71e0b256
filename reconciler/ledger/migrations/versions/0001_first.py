"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger()
DIGEST = sa.LargeBinary(32)
COMPACT = {"sqlite_with_rowid": False}
NOTABLE = sa.text("state != 0 OR deleted_at IS NOT NULL OR reason != ''")


def upgrade() -> None:
    op.create_table(
        "collectors",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("declared_at", TIME, nullable=False),
        sa.Column("retired_at", TIME),
        sa.Column("remembered", sa.BigInteger(), nullable=False),
        sa.Column("sessions", sa.BigInteger(), nullable=False),
        sa.Column("collected", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("retry_reason", sa.Text()),
        sa.Column("retry_message", sa.Text()),
        sa.Column("retry_failures", sa.Integer()),
        sa.Column("retry_at", TIME),
        sa.Column("retry_digest", sa.Text()),
        sa.Column("retry_stamp", sa.Text()),
        sa.Column("standing", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_collectors"),
        sa.UniqueConstraint("name", name="uq_collectors"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", KEY, nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("host", "username", "protocol", "port", name="uq_accounts"),
    )
    op.create_table(
        "folders",
        sa.Column("id", KEY, nullable=False),
        sa.Column("collector_id", KEY, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("account_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("validity", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_folders_accounts"),
        sa.ForeignKeyConstraint(
            ["collector_id"], ["collectors.id"], name="fk_folders_collectors", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_folders"),
        sa.UniqueConstraint(
            "collector_id", "epoch", "account_id", "name", "validity", name="uq_folders"
        ),
    )
    op.create_index("ix_folders_account_id", "folders", ["account_id"])
    op.create_table(
        "messages",
        sa.Column("id", KEY, nullable=False),
        sa.Column("folder_id", KEY, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("occurrence", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("header", DIGEST),
        sa.Column("content", DIGEST),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["folders.id"], name="fk_messages_folders", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("folder_id", "key", "occurrence", name="uq_messages"),
    )
    op.create_index("ix_messages_header", "messages", ["folder_id", "header"])
    op.create_index(
        "ix_messages_notable",
        "messages",
        ["folder_id"],
        sqlite_where=NOTABLE,
        postgresql_where=NOTABLE,
    )
    op.create_table(
        "deliveries",
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_deliveries_messages", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "recipient", name="pk_deliveries"),
        **COMPACT,
    )
    op.create_table(
        "sessions",
        sa.Column("collector_id", KEY, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("listed", sa.Integer(), nullable=False),
        sa.Column("collected", sa.Integer(), nullable=False),
        sa.Column("skipped_reasons", sa.JSON(), nullable=False),
        sa.Column("parked", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collector_id"], ["collectors.id"], name="fk_sessions_collectors", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("collector_id", "number", name="pk_sessions"),
        **COMPACT,
    )
    op.create_table(
        "last_good",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name="pk_last_good"),
        **COMPACT,
    )
