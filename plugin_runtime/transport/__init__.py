"""Transport: see the modules."""
