"""Handlers that declare types: what arrives is checked before they run, what they answer before it leaves."""
