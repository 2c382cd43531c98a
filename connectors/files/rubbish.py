"""Bytes that are no text in any encoding that is read: they begin as files of another kind do, or hold control characters as no text does."""

from typing import Final

_KINDS: Final = (
    (b"%PDF-", "a PDF file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"Obj\x01", "an Avro file"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\xfd7zXZ\0", "an xz file"),
)
NOTHING: Final = "no text and of no format that is known"
_OF_TEXT: Final = bytes({0, *b"\t\n\v\f\r\x1a\x1b", *range(32, 127), *range(128, 256)})
"""NUL among them: a text may be damaged by it, and a file end in it; what the others are is told by how many kinds there are."""
_KINDS_OF_CONTROLS: Final = 8
"""A text may have one or two of them in place of delimiters."""
_SHARE: Final = 50
"""One byte of so many; of bytes by chance it is one of ten."""


def rubbish(sample: bytes, *, wide: bool) -> str:
    """Return what a file is that begins so, where it is no text; empty: it may be one. `wide`: it is said to be in UTF-16, where any byte is text."""
    kind = next((kind for sign, kind in _KINDS if sample.startswith(sign)), "")
    if kind or wide:
        return kind
    controls = sample.translate(None, _OF_TEXT)
    return NOTHING if len(set(controls)) >= _KINDS_OF_CONTROLS and len(controls) * _SHARE >= len(sample) else ""
