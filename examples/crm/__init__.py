"""CRM: contacts and deals that other plugins read, and the events that tell of their changes."""

from examples.crm.plugin import create

__all__ = ["create"]
