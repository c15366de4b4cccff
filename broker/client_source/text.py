"""Texts of others in Python source: they stay texts, whatever they hold. Pure."""

import textwrap
from collections.abc import Sequence
from typing import Any

from contracts.text import printable

WIDTH = 88
INDENT = "    "


def literal(value: Any) -> str:
    r"""A JSON value as Python writes it.

    >>> literal(["a\"b\n", None, True, 1.5])
    '["a\\"b\\n", None, True, 1.5]'
    """
    if isinstance(value, str):
        return f'"{_inside(value)}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(str(key))}: {literal(item)}' for key, item in value.items())}}}"
    return repr(value)


def template(parts: Sequence[tuple[bool, str]]) -> str:
    """A formatted string of literal parts (false) and expressions (true); a plain one where there are none."""
    if not any(is_expression for is_expression, _ in parts):
        return literal("".join(text for _, text in parts))
    inside = (f"{{{text}}}" if found else _inside(text).replace("{", "{{").replace("}", "}}") for found, text in parts)
    return f'f"{"".join(inside)}"'


def docstring(paragraphs: Sequence[str | Sequence[str]], indent: str) -> list[str]:
    """The lines of a docstring; a paragraph is wrapped, unless it is a list of lines, which are wrapped one by one."""
    width = WIDTH - len(indent)
    blocks: list[list[str]] = []
    for paragraph in paragraphs:
        lines = [paragraph] if isinstance(paragraph, str) else paragraph
        wrapped = [part for line in lines for part in _wrapped(line, width)]
        if wrapped:
            blocks.append(wrapped)
    text = "\n\n".join("\n".join(block) for block in blocks)
    escaped = text.replace("\\", "\\\\")
    if '"""' in escaped or escaped.endswith('"'):
        escaped = escaped.replace('"', '\\"')
    if "\n" in escaped:
        escaped += "\n"
    lines = f'"""{escaped}"""'.split("\n")
    return [f"{indent}{line}".rstrip() for line in lines]


def listed(head: str, items: Sequence[str], tail: str, indent: str, *, brackets: str = "()") -> list[str]:
    """``head(items)tail`` on one line, or with an item a line where that is too long."""
    opening, closing = brackets[0], brackets[1]
    line = f"{indent}{head}{opening}{', '.join(items)}{closing}{tail}"
    if len(line) <= WIDTH or not items:
        return [line]
    inner = [f"{indent}{INDENT}{item}," for item in items]
    return [f"{indent}{head}{opening}", *inner, f"{indent}{closing}{tail}"]


def _wrapped(line: str, width: int) -> list[str]:
    """A line of others, each of whose own lines is wrapped; where it is indented, what follows is more so."""
    found: list[str] = []
    for part in line.split("\n"):
        shown = printable(part.replace("\t", " ")).rstrip()
        start = shown[: len(shown) - len(shown.lstrip())]
        found += textwrap.wrap(
            shown, width, subsequent_indent=f"{start}{INDENT}" if start else "", break_long_words=False
        )
    return found


def _inside(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return escaped if escaped.isprintable() else "".join(_shown(character) for character in escaped)


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
