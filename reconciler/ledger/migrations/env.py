"""Alembic's entry; the connection comes from `reconciler.ledger.migration`, with its transaction
begun."""

from alembic import context

from reconciler.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
