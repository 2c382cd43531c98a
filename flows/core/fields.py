"""The kinds of field that definitions are made of."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, StringConstraints
from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)+$", max_length=512)]
"""A JSON pointer (RFC 6901) to something inside the body."""
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""CEL; its nesting is bounded when it is compiled (`flows.core.rules`)."""
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text for people, on one line: a name. It is shown on terminals and in logs, which control characters would do things to."""
Lines = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")]
"""Text for people, of several lines maybe."""


def _written(value: Any) -> Any:
    """Refuse what would be taken for seconds since 1970: a time is written as RFC 3339 has it, with the year first."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and value[4:5] == "-"):
        raise PydanticKnownError("datetime_type")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_written)]
"""A time with its zone, RFC 3339."""
_NO_SCHEMAS: Final = frozenset({"default", "metadata", "serialization", "keys_schema"})
"""Parts of a schema that are none, or none of what comes in; keys are texts in JSON, whatever they stand for."""


def _number(value: Any) -> Any:
    """Refuse what is no number and would be read as a whole one; 3.0 is 3, as JSON Schema has it."""
    if isinstance(value, bool | str | bytes):
        raise PydanticKnownError("int_type")
    return value


def _strict(schema: Any) -> None:
    """Have every truth in a schema, however deep, take true and false alone, and every number numbers; other models in it have been through here."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "int":
            whole = dict(schema)
            schema.clear()
            schema.update(no_info_before_validator_function(_number, whole))
            return
        if kind in ("bool", "float"):  # a field may be called type: its kind is a dict then
            schema["strict"] = True
        if kind != "function-before" or schema["function"]["function"] is not _number:
            for name, part in schema.items():
                if name not in _NO_SCHEMAS:
                    _strict(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _strict(part)


class Model(BaseModel):
    """What all definitions share: unknown fields are errors, values do not change once made, the sentence under a field is its description.

    True and false are `true` and `false` in JSON, nothing else, and a number is a number: `"yes"` and 1 are no truths, `"3"` and `true` are no numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_texts: ClassVar[bool] = False
    """Whether its values come as texts, out of a query or a form: words for true and false, and digits, are all there can be then."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> Any:
        """Return the schema of a model as it is built, its truths and numbers made strict; an integer is a float, too."""
        found = handler(source)
        if not cls.from_texts:
            _strict(handler.resolve_ref_schema(found))
        return found


Model.model_config["use_attribute_docstrings"] = True  # of those that follow: it has none of its own, and the first look for any goes through all modules


def hasten() -> None:
    """Let the models of this process be built when they are first needed, without descriptions: for one that checks with few of them and describes none.

    To be called before any is defined. A process that describes them (the ingress) builds them at its start, or its first requests would wait.
    """
    Model.model_config["use_attribute_docstrings"], Model.model_config["defer_build"] = False, True
