"""What callers send is checked before it is used: a bad body or query is answered with 400 and every reason."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from plugin_runtime import Refusal

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], value: object) -> Model:
    """The value as the model; a `Refusal` with status 400 lists what is wrong with it."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise Refusal(400, "Validation failed", details=details) from error
