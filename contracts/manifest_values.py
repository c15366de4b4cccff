"""What single values of a ``plugin.json`` may be: texts, paths, addresses, permissions, who has access."""

import re
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from contracts.limits import MOST_ADMITTED, MOST_PERMISSIONS
from contracts.manifest_document import Problem
from contracts.names import check_plugin_id
from contracts.text import printable
from contracts.wire import Many, broken, describe

LONGEST_SHOWN = 100

CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff"
"""Control characters, line and paragraph separator and the byte order mark, as a class of a pattern has them."""

PERMISSION = re.compile(r"plugin(?:\.[a-z0-9]+(?:-[a-z0-9]+)*){3}\Z")
_LINE_CONTROL = re.compile(f"[{CONTROLS}]")
_TEXT_CONTROL = re.compile(f"(?![\n\t])[{CONTROLS}]")
_PARAM = re.compile(r":[A-Za-z_][A-Za-z0-9_]*\Z")
_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+\Z")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check_name(value: str) -> str:
    """What people call something: one line, as it is to be shown; `ValueError` says what is wrong."""
    if _LINE_CONTROL.search(value):
        raise ValueError(f"'{printable(value, LONGEST_SHOWN)}' has control characters: expected one line of text")
    if value != value.strip():
        raise ValueError(f"'{printable(value, LONGEST_SHOWN)}' must not begin or end with white space")
    return value


def check_text(value: str) -> str:
    """What people read, perhaps on several lines; `ValueError` says what is wrong."""
    if found := _TEXT_CONTROL.search(value):
        raise ValueError(f"has the control character '{printable(found[0])}': expected text, newlines and tabs")
    return value


def check_path(value: str) -> str:
    """An endpoint's path: ``/`` and segments, each a literal or a ``:param``; `ValueError` says what is wrong."""
    shown = printable(value, LONGEST_SHOWN)
    if not value.startswith("/"):
        raise ValueError(f"path '{shown}' must start with '/'")
    segments = value[1:].split("/") if value != "/" else []
    names = [segment for segment in segments if segment.startswith(":")]
    if len(set(names)) != len(names):
        raise ValueError(f"path '{shown}' names a parameter twice")
    for segment in segments:
        if _STRAY_PERCENT.search(segment):
            raise ValueError(f"path '{shown}': '%' must be followed by two hexadecimal digits, '%25' is '%' itself")
        if not _is_utf8(segment):
            raise ValueError(f"path '{shown}' is not UTF-8 when decoded")
        if unquote(segment) in {".", ".."}:
            raise ValueError(f"path '{shown}' has a dot segment")
        if not _PARAM.match(segment) and (segment.startswith(":") or not _LITERAL.match(segment)):
            part = printable(segment, LONGEST_SHOWN)
            raise ValueError(f"path '{shown}': segment '{part}' is neither a literal nor a ':param'")
    return value


def _is_utf8(segment: str) -> bool:
    try:
        unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def check_base_url(value: str) -> str:
    """An absolute HTTP address, kept for an HTTP bridge; `ValueError` says what is expected."""
    if problem := _problem_of_url(value):
        shown = printable(value, LONGEST_SHOWN)
        raise ValueError(f"baseUrl '{shown}' is not a URL: {problem}, expected e.g. 'http://localhost:3100'")
    return value


def _problem_of_url(value: str) -> str | None:
    # Before it is split: urlsplit removes tabs and newlines, and strips.
    if not value.isprintable() or " " in value:
        return "it has spaces or control characters"
    try:
        parts = urlsplit(value)
    except ValueError:
        return "its host is not one"
    try:
        port = parts.port
    except ValueError:
        return "its port is no number from 1 to 65535"
    if port == 0:
        return "its port is no number from 1 to 65535"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "it has no http:// or https:// with a host"
    return None


def check_permission(value: str) -> str:
    """A permission: ``plugin.{name}.{resource}.{action}``."""
    if not PERMISSION.match(value):
        raise ValueError(
            f"permission '{printable(value, LONGEST_SHOWN)}' is not valid: "
            "expected 'plugin.{name}.{resource}.{action}', e.g. 'plugin.crm.contacts.read'"
        )
    return value


def check_access(value: object) -> object:
    """``owner``, ``any`` or a list of plugin ids; `ValueError` says what is wrong."""
    if value in ("owner", "any"):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be 'owner', 'any' or a list of plugin ids, found {describe(value)}")  # noqa: TRY004
    if len(value) > MOST_ADMITTED:
        raise ValueError(f"must have at most {MOST_ADMITTED} plugin ids, found {len(value)}")
    if problems := [found for index, item in enumerate(value) if (found := _access_problem(index, item))]:
        raise broken(problems)
    return tuple(value)


def _access_problem(index: int, item: object) -> Problem | None:
    if not isinstance(item, str):
        return f"{index}", f"must be text, found {describe(item)}"
    try:
        check_plugin_id(item)
    except ValueError as error:
        return f"{index}", str(error)
    return None


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(check_name)]
Description = Annotated[str, Field(max_length=1000), AfterValidator(check_text)]
Reason = Annotated[str, Field(max_length=500), AfterValidator(check_text)]
Path = Annotated[str, Field(max_length=500), AfterValidator(check_path)]
BaseUrl = Annotated[str, Field(max_length=500), AfterValidator(check_base_url)]
Permission = Annotated[str, Field(max_length=250), AfterValidator(check_permission)]
Permissions = Annotated[Many[Permission], Field(max_length=MOST_PERMISSIONS)]
Access = Annotated[Literal["owner", "any"] | tuple[str, ...], BeforeValidator(check_access)]
