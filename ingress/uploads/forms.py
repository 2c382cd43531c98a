"""Reads `multipart/form-data` as it arrives: one file, and small texts before it; every dimension has a bound."""

from email.message import Message
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from flows.core.errors import BadRequest, TooLarge

MOST_PARTS: Final = 32
MOST_HEADERS: Final = 8 * 1024
MOST_TEXT: Final = 4 * 1024
MOST_NAME: Final = 255


def file_name(disposition: str) -> str:
    """Return the file's name of a Content-Disposition, without folders and control characters; empty where there is none."""
    message = Message()
    message["content-disposition"] = disposition
    return plain_name(message.get_filename() or "")


def plain_name(name: str) -> str:
    """Return a name without folders and control characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable())[:MOST_NAME]


class Form:
    """One form; feed it, and take from it what has come of the file."""

    def __init__(self, content_type: str) -> None:
        """Take the request's Content-Type; raises BadRequest when it names no boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not 0 < len(boundary) <= 70:  # noqa: PLR2004  RFC 2046 §5.1.1
            raise BadRequest("A multipart body needs a boundary of 1 to 70 characters in its Content-Type.")
        self.texts: dict[str, str] = {}
        self.file: str | None = None
        """The file's name, once its part has begun."""
        self.content_type = self.digest = ""
        """Of the file's part."""
        self.over = False
        self._data: list[bytes] = []
        self._parts = 0
        self._field, self._value, self._name = b"", b"", ""
        self._headers: dict[str, str] = {}
        self._in_file = False
        self._text = bytearray()
        calls = {"on_part_begin": self._begin, "on_part_data": self._take, "on_part_end": self._end, "on_header_field": self._add_field}
        calls |= {"on_header_value": self._add_value, "on_header_end": self._header, "on_headers_finished": self._started, "on_end": self._finish}
        self._parser = MultipartParser(boundary, calls, max_header_count=MOST_PARTS, max_header_size=MOST_HEADERS)  # type: ignore[arg-type]  # its own type for these is a TypedDict

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the body and return those of the file; raises BadRequest or TooLarge."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadRequest(f"The body is no multipart form: {error}.") from error
        found = b"".join(self._data)
        self._data.clear()
        return found

    def _begin(self) -> None:
        self._parts += 1
        self._headers, self._text, self._in_file = {}, bytearray(), False
        if self._parts > MOST_PARTS:
            raise TooLarge(f"The form has more than {MOST_PARTS} parts.")

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._field = self._value = b""

    def _started(self) -> None:
        disposition = self._headers.get("content-disposition", "")
        message = Message()
        message["content-disposition"] = disposition
        self._name = str(message.get_param("name", "", "content-disposition") or "")
        self._in_file = message.get_filename() is not None or self._name == "file"
        if self._in_file:
            if self.file is not None:
                raise BadRequest("The form has two files; send one at a time.")
            self.file = file_name(disposition)
            self.content_type = self._headers.get("content-type", "")
            self.digest = self._headers.get("repr-digest", "")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._data.append(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MOST_TEXT:
            raise TooLarge(f"A text in the form has more than {MOST_TEXT:,} bytes; send the file in a part that has a filename.")

    def _end(self) -> None:
        if not self._in_file:
            if self.file is not None:
                raise BadRequest(f"The field {self._name[:64]!r} stands behind the file; put all fields before it.")
            self.texts[self._name] = self._text.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.over = True
