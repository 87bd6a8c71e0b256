"""What the deliveries of a collector are named after, once it is renamed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collectors", sa.Column("first_name", sa.Text(), nullable=True))
