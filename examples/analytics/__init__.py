"""Analytics: reports over the CRM's contacts and deals, without a copy of them."""

from examples.analytics.plugin import create

__all__ = ["create"]
