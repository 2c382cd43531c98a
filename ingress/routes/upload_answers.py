"""What the routes of uploads take and answer."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field, StringConstraints

from flows.core.clock import rfc3339
from flows.core.fields import Model, Pointer
from flows.core.imports.source import Character, DataFormat
from flows.core.imports.uploads import Phase, Upload


class Hints(Model):
    """How the file is written, where that is known: it is cut between its records then. What is left out is found out from its first bytes."""

    from_texts: ClassVar[bool] = True
    data_format: DataFormat | None = None
    """What the file is."""
    delimiter: Character | None = None
    """What parts the fields of a line."""
    quote: Character | None = None
    """What fields are quoted with."""
    escape: Character | None = None
    """What takes the next character's meaning away."""
    comment: Character | None = None
    """Lines that begin with it are no rows."""
    header: bool | None = None
    """Whether the first row names the columns."""
    encoding: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    """Such as utf-8 or windows-1252."""
    record_path: Annotated[str, StringConstraints(pattern=r"^[^/\s\x00]+(/[^/\s\x00]+){0,31}$", max_length=1024)] | None = None
    """XML: names of elements from the root to the one that is a row."""
    json_path: Pointer | None = None
    """JSON: pointer to the array whose elements are the rows."""

    def told(self) -> dict[str, Any]:
        """Return those that were given."""
        return self.model_dump(exclude_none=True)


class UploadAnswer(BaseModel):
    """An upload, as far as it has come."""

    upload_id: str
    status: Phase
    name: str
    size_bytes: int
    """Bytes that are durable; all of them once its status is `received`."""
    length: int | None
    """All bytes of the file; null: its sender has not said."""
    sha256: str | None
    """Of the whole file; null until it has come."""
    detected: Mapping[str, Any] | None = Field(default=None)
    """`format`, `encoding`, `dialect`, `columns` with guessed types and samples; null until it has come."""
    created_at: str
    expires_at: str

    @classmethod
    def of(cls, upload: Upload, now_ms: int) -> "UploadAnswer":
        """Show an upload."""
        return cls(
            upload_id=upload.upload_id,
            status=upload.phase(now_ms),
            name=upload.name,
            size_bytes=upload.offset,
            length=upload.length,
            sha256=upload.sha256 or None,
            detected=upload.detected,
            created_at=rfc3339(upload.created_at_ms),
            expires_at=rfc3339(upload.expires_at_ms),
        )
