"""Marketing: hears of new contacts and welcomes each of them once."""

from examples.marketing.plugin import create

__all__ = ["create"]
