"""Somebody who holds a connection, and tries what no plugin of ours would."""
