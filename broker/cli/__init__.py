"""The ``plexica`` command, one module per noun."""
