"""How a sender proves itself, as data."""

from pydantic import BaseModel, ConfigDict


class Verification(BaseModel):
    """How a sender proves itself: headers, algorithm, what is signed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
