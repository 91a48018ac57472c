"""The steps by which the accounts tables came to be, read by Alembic."""
