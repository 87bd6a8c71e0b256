"""How long a collector has been retired, counted while mailcollector runs: no clock that jumps ends
it at once."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collectors", sa.Column("retired_for", sa.BigInteger(), nullable=True))
