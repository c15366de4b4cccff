"""Invoicing: turns the CRM's deals into invoices."""

from examples.invoicing.plugin import create

__all__ = ["create"]
