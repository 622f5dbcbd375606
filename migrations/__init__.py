"""The steps that bring an edge's database from one schema to the next (Alembic). Run by `app.database`."""
