"""How long servers and receivers asked us to wait."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collectors", sa.Column("retry_asked", sa.Float(), nullable=True))
    op.add_column("messages", sa.Column("wait", sa.Float(), nullable=True))
