"""Calls: see the modules."""
