"""A message bus for plugins."""
