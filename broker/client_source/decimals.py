"""Decimal numbers in JSON Schemas: text, so that no digit is lost; beside it, where one is sent, any number. Pure."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

DECIMAL = "Decimal"
"""The type of such a number in a client."""

_PATTERN = r"^(?!^[-+.]*$)[+-]?0*"
"""How the pattern starts in schemas of pydantic 2.12 and 2.13; the runtime's own have the format ``decimal``."""


def without_numbers(alternatives: list[Any]) -> list[Any]:
    """The members of a union without a number beside the text of a decimal one: both are one type to pydantic."""
    if not any(is_decimal(one) for one in alternatives):
        return alternatives
    return [one for one in alternatives if not (isinstance(one, Mapping) and one.get("type") == "number")]


def is_decimal(schema: Any) -> bool:
    """Whether a schema is that of a decimal number written as text."""
    if not isinstance(schema, Mapping) or schema.get("type") != "string":
        return False
    return schema.get("format") == "decimal" or str(schema.get("pattern", "")).startswith(_PATTERN)


def decimal_default(value: Any) -> Decimal | None:
    """A default as a decimal number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return found if (found := Decimal(str(value))).is_finite() else None
    except InvalidOperation:
        return None
