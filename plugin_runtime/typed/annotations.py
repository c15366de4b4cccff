"""What a handler's annotations say of body, query, path parameters and answer; texts are resolved. Pure."""

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin

from contracts.calls import Query
from plugin_runtime.incoming import Reply

BODY, QUERY, REPLY = "body", "query", "return"
RESERVED = (BODY, QUERY)
"""Parameters that are filled from the call, unless the path has one of that name."""

UNANNOTATED = inspect.Parameter.empty
_SAYS_NOTHING: tuple[Any, ...] = (UNANNOTATED, Any, object, typing.NoReturn, typing.Never)
_NOTHING: tuple[Any, ...] = (None, NoneType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """The annotations of one handler that say something; what is left out is taken as it comes.

    Attributes:
        path: Path parameters that are not text.
        body: The type of the body; None where the handler takes none, or takes any.
        query: The type of the query, likewise.
        reply: The type of the data answered.
        answers_nothing: The handler says that there is no data; nothing is checked then.
        takes: Which of `RESERVED` the handler takes.
        optional: Which of those have a default.
    """

    path: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    query: Any = None
    reply: Any = None
    answers_nothing: bool = False
    takes: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


def annotations_of(handler: Callable[..., Awaitable[Any]], path_params: typing.Sequence[str]) -> Annotations:
    """Read a handler's annotations.

    Raises:
        ValueError: A body or query without annotation, or a text that names nothing at run time; the message begins
            with the parameter's name.
    """
    signature = inspect.signature(handler)
    parameters = list(signature.parameters.values())[1:]
    taken = {found.name: found for found in parameters if found.name in RESERVED and found.name not in path_params}
    for name, parameter in taken.items():
        if parameter.annotation is UNANNOTATED:
            raise ValueError(f"'{name}' has no annotation: expected a type such as a pydantic model, or Any")
    path = {
        found.name: _resolved(handler, found.name, found.annotation)
        for found in parameters
        if found.name in path_params
    }
    reserved = {name: _resolved(handler, name, found.annotation) for name, found in taken.items()}
    answered = data_type(_resolved(handler, REPLY, signature.return_annotation))
    return Annotations(
        path={name: found for name, found in path.items() if not _is_one(found, (str, *_SAYS_NOTHING))},
        body=_said(reserved.get(BODY)),
        query=None if _is_one(reserved.get(QUERY), (Query,)) else _said(reserved.get(QUERY)),
        reply=None if is_plain(answered) else answered,
        answers_nothing=_is_one(answered, _NOTHING),
        takes=frozenset(taken),
        optional=frozenset(name for name, found in taken.items() if found.default is not UNANNOTATED),
    )


def data_type(annotation: Any) -> Any:
    """The type of the data in an answer: `Reply` says status and headers, ``Reply[Contact]`` of which data too.

    >>> data_type(Reply[int] | None)
    int | None
    """
    if annotation is Reply:
        return Any
    if get_origin(annotation) is Reply:
        return get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        members = [data_type(member) for member in get_args(annotation)]
        return Any if any(_is_one(member, _SAYS_NOTHING) for member in members) else Union[tuple(members)]  # noqa: UP007
    return annotation


def is_plain(annotation: Any) -> bool:
    """Whether a type says no more than that it is JSON: such an answer goes out as it is.

    >>> is_plain(list[dict[str, Any]]), is_plain(list[int]), is_plain(None)
    (True, False, True)
    """
    if _is_one(annotation, (*_SAYS_NOTHING, *_NOTHING, dict, list)):
        return True
    if get_origin(annotation) not in {dict, list}:
        return False
    *keys, inner = get_args(annotation)
    return all(key is str for key in keys) and is_plain(inner) and not _is_one(inner, _NOTHING)


def _said(annotation: Any) -> Any:
    return None if _is_one(annotation, _SAYS_NOTHING) else annotation


def _is_one(annotation: Any, of: tuple[Any, ...]) -> bool:
    """Whether it is one of them; by identity, since annotations need not be hashable."""
    return any(annotation is one for one in of)


def _resolved(handler: Any, name: str, annotation: Any) -> Any:
    """An annotation that is a text, as ``from __future__ import annotations`` makes them all, is looked up."""
    if not isinstance(annotation, str):
        return annotation
    function = inspect.unwrap(handler)
    holder = SimpleNamespace(__annotations__={name: annotation})
    near = inspect.getclosurevars(function).nonlocals
    try:
        return typing.get_type_hints(holder, function.__globals__, dict(near), include_extras=True)[name]
    except Exception as error:
        text = f"the annotation '{annotation}' of '{name}' is not known at run time ({error}): import it there"
        raise ValueError(text) from error
