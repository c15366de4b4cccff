"""Handlers with types: what they are given, what their callers are refused with, and what they may answer."""

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from contracts.calls import Query
from contracts.errors import InvalidEndpointError
from contracts.limits import MOST_PROBLEMS
from plugin_runtime import Call, Plugin, Reply
from plugin_runtime.testing import make_call
from plugin_runtime.typed.handlers import Handler, UnfitAnswerError, UnfitCall


class Stage(Enum):
    LEAD = "lead"
    WON = "won"


class NewContact(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, populate_by_name=True)

    name: Annotated[str, Field(min_length=2)]
    born_on: date | None = None
    stage: Stage = Stage.LEAD


class Contact(NewContact):
    id: UUID


class ListQuery(BaseModel):
    limit: Annotated[int, Field(ge=1)] = 100
    tag: list[str] = []
    is_open: Annotated[bool, Field(alias="open")] = False


class Range(TypedDict):
    since: date


@dataclass
class Person:
    name: str
    age: int = 0


ID = UUID("6b0f1cb2-0f43-4a8a-8bd0-64c4a25b4f0d")
KEPT = Contact(id=ID, name="Ada", born_on=date(1815, 12, 10))


def mounted(handler: Any, method: str = "POST", path: str = "/contacts") -> Handler:
    """The handler as the server runs it."""
    service = {"name": "crm.contacts", "version": "1.0.0", "endpoints": [{"method": method, "path": path}]}
    plugin = Plugin.from_manifest(
        {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}}
    )
    definition = plugin.service("crm.contacts")
    assert getattr(definition, method.lower())(path)(handler) is handler
    return definition.endpoints[0].handler


async def given(handler: Any, path: str = "/contacts", query: Any = None, body: Any = None, **params: str) -> Any:
    """What a handler answers to a call."""
    return await mounted(handler, "POST", path)(make_call(query=query, body=body), **params)


async def refusal_of(
    handler: Any, path: str = "/contacts", query: Any = None, body: Any = None, **params: str
) -> list[dict[str, str]]:
    """The problems with which a call is refused."""
    with pytest.raises(UnfitCall) as caught:
        await given(handler, path, query, body, **params)
    errors: list[dict[str, str]] = caught.value.reason.details["errors"]
    assert all(f"{item['path']}: {item['message']}" in caught.value.reason.message for item in errors)
    return errors


async def create(call: Call, body: NewContact) -> NewContact:
    del call
    assert type(body) is NewContact
    return body


async def search(call: Call, query: ListQuery) -> str:
    del call
    return repr(query)


async def test_body_is_read_by_the_rules_of_json_though_the_model_is_strict() -> None:
    answer = await given(create, body={"name": "Ada", "bornOn": "1815-12-10", "stage": "won"})

    assert answer == {"name": "Ada", "bornOn": "1815-12-10", "stage": "won"}


async def test_every_problem_of_a_body_is_told_at_its_dotted_path() -> None:
    assert await refusal_of(create, body={"name": "A", "bornOn": "soon", "stag": "won"}) == [
        {"path": "body.name", "message": "must have at least 2 characters, found text 'A'"},
        {
            "path": "body.bornOn",
            "message": "must be a date such as 2026-01-31, found text 'soon'",
        },
        {"path": "body.stag", "message": "unknown key; did you mean 'stage'?"},
    ]


async def test_missing_body_is_told_as_the_body() -> None:
    assert await refusal_of(create) == [{"path": "body", "message": "must be an object, found null"}]


async def test_problems_of_path_query_and_body_are_told_together() -> None:
    async def change(call: Call, id: int, query: ListQuery, body: int) -> None:
        del call, id, query, body

    assert await refusal_of(change, "/contacts/:id", {"limit": 0}, "x", id="first") == [
        {"path": "path.id", "message": "must be a whole number, found text 'first'"},
        {"path": "query.limit", "message": "must be at least 1, found text '0'"},
        {"path": "body", "message": "must be a whole number, found text 'x'"},
    ]


async def test_a_body_of_many_problems_is_told_in_part() -> None:
    async def add(call: Call, body: list[int]) -> None:
        del call, body

    errors = await refusal_of(add, body=["x"] * (MOST_PROBLEMS + 7))

    assert (len(errors), errors[-1]["path"]) == (MOST_PROBLEMS, f"body.{MOST_PROBLEMS - 1}")


async def test_a_body_nested_too_deep_is_refused() -> None:
    async def keep(call: Call, body: list[Any]) -> None:
        del call, body

    nested: Any = []
    for _ in range(240):
        nested = [nested]

    assert await refusal_of(keep, body=nested) == [{"path": "body", "message": "is nested too deep"}]


async def test_query_values_are_read_from_text_and_a_single_one_may_be_a_list() -> None:
    assert (
        await given(search, query={"limit": 7, "tag": "vip", "open": True})
        == "ListQuery(limit=7, tag=['vip'], is_open=True)"
    )
    assert await given(search, query={"tag": ["a", "b"]}) == "ListQuery(limit=100, tag=['a', 'b'], is_open=False)"
    assert await given(search) == "ListQuery(limit=100, tag=[], is_open=False)"


async def test_a_repeated_key_where_one_value_is_expected_is_refused() -> None:
    assert await refusal_of(search, query={"limit": [1, 2]}) == [
        {"path": "query.limit", "message": "must be a whole number, found an array"}
    ]


@pytest.mark.parametrize(
    ("annotation", "query", "expected"),
    [
        (Range, {"since": "2026-01-31"}, {"since": date(2026, 1, 31)}),
        (Person, {"name": "Ada", "age": "36"}, Person("Ada", 36)),
        (dict[str, list[int]], {"a": 1, "b": [2, 3]}, {"a": [1], "b": [2, 3]}),
        (dict[str, str], {"a": 1}, {"a": "1"}),
    ],
)
async def test_a_query_is_any_type_with_keys(annotation: Any, query: Any, expected: Any) -> None:
    async def look(call: Call, query: Any) -> Any:
        del call
        return [query]

    look.__annotations__["query"] = annotation

    assert await given(look, query=query) == [expected]


async def test_query_and_body_without_a_type_come_as_they_are() -> None:
    async def look(call: Call, query: Query, body: Any) -> Any:
        return [query is call.query, body is call.body]

    assert await given(look, query={"a": "1"}, body={"b": 2}) == [True, True]


async def test_a_default_stands_for_what_did_not_come() -> None:
    async def look(call: Call, query: ListQuery | None = None, body: NewContact | None = None) -> Any:
        del call
        return [query, body]

    assert await given(look) == [None, None]
    assert await given(look, query={"limit": 2}) == [ListQuery(limit=2), None]


async def test_path_parameters_are_read_as_their_types() -> None:
    async def look(call: Call, id: UUID, stage: Stage, year: int, name: str) -> Any:
        del call
        return [id, stage, year, name]

    path = "/:id/:stage/:year/:name"

    assert await given(look, path, id=str(ID), stage="won", year="1815", name="1") == [ID, Stage.WON, 1815, "1"]


async def test_a_path_parameter_called_body_is_the_path_s() -> None:
    async def look(call: Call, body: str) -> Any:
        del call
        return [body]

    assert await mounted(look, path="/:body")(make_call(body="other"), body="text") == ["text"]


async def test_annotations_may_be_texts() -> None:
    async def look(call: "Call", id: "int", body: "NewContact") -> "list[Contact]":
        del call, id
        return [KEPT.model_copy(update={"name": body.name})]

    (answer,) = await given(look, "/:id", body={"name": "Eve"}, id="1")

    assert answer == {"name": "Eve", "bornOn": "1815-12-10", "stage": "lead", "id": str(ID)}


async def test_an_answer_is_written_as_the_type_declared_and_no_more() -> None:
    class Stored(NewContact):
        secret: str = "s"

    async def get(call: Call) -> list[NewContact]:
        del call
        return [Stored(name="Ada")]

    assert await given(get) == [{"name": "Ada", "bornOn": None, "stage": "lead"}]


async def test_an_answer_may_be_any_object_with_the_attributes() -> None:
    class PersonRead(BaseModel):
        name: str

    async def get(call: Call) -> PersonRead:
        del call
        return Person("Ada")  # type: ignore[return-value]

    assert await given(get) == {"name": "Ada"}


async def test_an_answer_that_does_not_fit_names_every_place() -> None:
    async def get(call: Call) -> list[Contact]:
        del call
        return [KEPT, {"name": 1}]  # type: ignore[list-item]

    with pytest.raises(UnfitAnswerError) as caught:
        await given(get)

    said = (
        "the handler's answer is no list[Contact]: reply.1.name: must be text, found number 1; reply.1.id: is required"
    )
    assert str(caught.value) == said


async def test_an_answer_changed_into_what_it_may_not_be_is_told() -> None:
    async def get(call: Call) -> Person:
        del call
        person = Person("Ada")
        person.age = object()  # type: ignore[assignment]
        return person

    with pytest.raises(UnfitAnswerError, match="the handler's answer cannot be written as Person"):
        await given(get)


async def test_the_data_of_a_reply_is_checked_unless_its_status_is_an_error() -> None:
    async def answer(call: Call, body: int) -> Reply[Contact]:
        del call
        return Reply(KEPT if body == 201 else {"error": "no"}, status=body, headers={"x": "y"})  # type: ignore[arg-type]

    made = await given(answer, body=201)

    assert (made.status, made.headers, made.data["name"]) == (201, {"x": "y"}, "Ada")
    assert (await given(answer, body=404)).data == {"error": "no"}
    with pytest.raises(UnfitAnswerError, match=r"is no Contact: reply\.name: is required"):
        await given(answer, body=200)


async def test_a_reply_beside_a_model_is_checked_by_the_model() -> None:
    async def answer(call: Call) -> Contact | Reply[Contact]:
        del call
        return Reply(KEPT, status=201)

    assert (await given(answer)).data["id"] == str(ID)


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        Any,
        object,
        dict,
        list,
        dict[str, Any],
        list[dict[str, Any]],
        list[dict],
        Reply,
        Reply[Any],
        Contact | Reply,
    ],
)
def test_a_handler_whose_types_say_nothing_is_run_as_it_is(annotation: Any) -> None:
    async def answer(call: Call) -> Any:
        del call

    answer.__annotations__["return"] = annotation

    assert mounted(answer) is answer


def test_a_handler_without_annotations_is_run_as_it_is() -> None:
    async def answer(call, id):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        del call, id

    assert mounted(answer, path="/:id") is answer


class Odd:
    """Nothing that pydantic knows."""


async def untyped(call: Call, body) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    del call, body


async def odd(call: Call, body: Odd) -> None:
    del call, body


async def unknown(call: Call, query: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    del call, query


async def number(call: Call, query: int) -> None:
    del call, query


async def odd_answer(call: Call) -> Odd:
    del call
    return Odd()


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (untyped, "handler 'untyped': 'body' has no annotation: expected a type such as a pydantic model, or Any"),
        (odd, "the annotation Odd of 'body' is none that pydantic can handle: Unable to generate pydantic-core schema"),
        (unknown, "the annotation 'Nowhere' of 'query' is not known at run time .*: import it there"),
        (number, "'query' must be a type with keys, such as a pydantic model"),
        (odd_answer, "the annotation Odd of 'return' is none that pydantic can handle"),
    ],
)
def test_a_type_that_cannot_be_used_is_refused_when_the_handler_is_defined(handler: Any, said: str) -> None:
    with pytest.raises(InvalidEndpointError, match=f"plugin-crm: crm.contacts POST /contacts: .*{said}"):
        mounted(handler)


def test_a_body_of_a_get_is_refused_when_the_handler_is_defined() -> None:
    with pytest.raises(InvalidEndpointError, match=r"handler 'create' takes 'body', but a GET has none: take 'query'"):
        mounted(create, "GET")


async def test_a_literal_is_told_with_what_it_may_be() -> None:
    async def look(call: Call, body: Literal["a", "b"]) -> None:
        del call, body

    assert await refusal_of(look, body="c") == [{"path": "body", "message": "must be 'a' or 'b', found text 'c'"}]


async def test_an_annotation_need_not_be_hashable() -> None:
    async def look(call: Call, id: Any) -> Any:
        del call
        return [id]

    look.__annotations__["id"] = Annotated[int, {"unit": "none"}]

    assert await given(look, "/:id", id="7") == [7]


@pytest.mark.parametrize("limit", [{"ge": date(2026, 1, 1)}, {"gt": date(2026, 1, 1)}])
async def test_a_bound_that_is_no_number_is_told(limit: Any) -> None:
    async def look(call: Call, body: Any) -> None:
        del call, body

    look.__annotations__["body"] = Annotated[date, Field(**limit)]
    (error,) = await refusal_of(look, body="2020-01-01")

    assert "2026-01-01, found text '2020-01-01'" in error["message"]
