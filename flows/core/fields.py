"""The kinds of field that definitions are made of."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, StringConstraints

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
_NO_SCHEMAS: Final = frozenset({"default", "metadata", "serialization"})
"""Parts of a schema that are none, or none of what comes in."""


def _strict_truths(schema: Any) -> None:
    """Have every truth in a schema, however deep, take true and false alone; what other models stand in it has been through here."""
    if isinstance(schema, dict):
        if schema.get("type") == "bool":
            schema["strict"] = True
        for name, part in schema.items():
            if name not in _NO_SCHEMAS:
                _strict_truths(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _strict_truths(part)


class Model(BaseModel):
    """What all definitions share: unknown fields are errors, values do not change once made, the sentence under a field is its description.

    True and false are `true` and `false` in JSON, nothing else: `"yes"`, `"no"`, 1 and 0 are errors, not guesses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_texts: ClassVar[bool] = False
    """Whether its values come as texts, out of a query or a form: words for true and false are all there can be then."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> Any:
        """Return the schema of a model as it is built, its truths made strict; other values are read as leniently as before, an integer for a float too."""
        found = handler(source)
        if not cls.from_texts:
            _strict_truths(handler.resolve_ref_schema(found))
        return found


Model.model_config["use_attribute_docstrings"] = True  # of those that follow: it has none of its own, and the first look for any goes through all modules


def hasten() -> None:
    """Let the models of this process be built when they are first needed, without descriptions: for one that checks with few of them and describes none.

    To be called before any is defined. A process that describes them (the ingress) builds them at its start, or its first requests would wait.
    """
    Model.model_config["use_attribute_docstrings"], Model.model_config["defer_build"] = False, True
