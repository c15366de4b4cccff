"""Data: see the modules."""
