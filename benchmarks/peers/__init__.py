"""Whom the bus is measured beside; each module uses one peer as its own documentation says."""
