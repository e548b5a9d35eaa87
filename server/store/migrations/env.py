"""What Alembic runs: migrations over the connection that `server.store.engine.migrate` hands it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
