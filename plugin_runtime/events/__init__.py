"""Events: see the modules."""
