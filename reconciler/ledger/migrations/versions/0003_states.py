"""More states of a message: suspect, unfetched, paused. Nothing is altered, but an older version
cannot read them."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change nothing: the tables stay as they are."""
