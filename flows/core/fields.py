"""The kinds of field that definitions are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)+$", max_length=512)]
"""A JSON pointer (RFC 6901) to something inside the body."""
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""CEL; its nesting is bounded when it is compiled (`flows.core.rules`)."""


class Model(BaseModel):
    """What all definitions share: unknown fields are errors, values do not change once made, the sentence under a field is its description."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Model.model_config["use_attribute_docstrings"] = True  # of those that follow: it has none of its own, and the first look for any goes through all modules


def hasten() -> None:
    """Let the models of this process be built when they are first needed, without descriptions: for one that checks with few of them and describes none.

    To be called before any is defined. A process that describes them (the ingress) builds them at its start, or its first requests would wait.
    """
    Model.model_config["use_attribute_docstrings"], Model.model_config["defer_build"] = False, True
