"""The store: one SQLite database and its migrations."""
