"""Which file systems mail was delivered to, and when somebody said that it is meant to go to
others."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mounts",
        sa.Column("point", sa.Text(), nullable=False),
        sa.Column("file_system", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("point", name="pk_mounts"),
        sqlite_with_rowid=False,
    )
    op.add_column("collectors", sa.Column("maildirs_accepted_at", sa.BigInteger(), nullable=True))
