"""Shared data: rules, rows, operations, expiry, endpoints."""
