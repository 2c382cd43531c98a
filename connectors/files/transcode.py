"""Reads pieces in any encoding with a parser that takes UTF-8: the text goes in as UTF-8, and places and bytes come out as they stand in the file."""

from collections.abc import Iterable, Sequence

from connectors.files.bypiece import Parser
from connectors.files.reader import Read
from connectors.files.table import Place
from flows.core.files.pieces import Piece
from flows.core.files.rejects import RAW_BYTES
from flows.core.files.units import WIDE, named


def transcoded(parser: Parser, encoding: str) -> Parser:
    """Return a parser of pieces in an encoding, made of one that reads UTF-8; raise `BadRequest` where the encoding's text cannot be told from its bytes."""
    name = named(encoding)
    return parser if name == "utf-8" else Transcoded(parser, name)


class Transcoded:
    """A parser of pieces in another encoding than UTF-8; bytes that are none of its text become such as are none of UTF-8: their record is turned away."""

    def __init__(self, parser: Parser, encoding: str) -> None:
        """Take what reads UTF-8."""
        self._parser = parser
        self._encoding = encoding
        self._errors = "surrogatepass" if encoding in WIDE else "surrogateescape"

    def state(self) -> bytes:
        """Return what the parser needs."""
        return self._parser.state()

    def parse_all(self, pieces: Sequence[Piece]) -> Iterable[Read]:
        """Yield the rows of each piece."""
        return map(self.parse, pieces)

    def parse(self, piece: Piece) -> Read:
        """Return the rows of a piece."""
        even = len(piece.data) - len(piece.data) % 2 if self._encoding in WIDE else len(piece.data)
        text = piece.data[:even].decode(self._encoding, self._errors)
        data = text.encode("utf-8", "surrogatepass") + piece.data[even:]
        read = self._parser.parse(piece._replace(data=data))
        back = _Back(piece, data, self._encoding, self._errors)
        rejects = [one._replace(offset=place.offset, raw=place.raw) for one in read.rejects for place in (back.of(one.offset, one.raw),)]
        place_of = read.table.place

        def place(index: int) -> Place:
            found = place_of(index)
            here = back.of(found.offset, found.raw)
            return found._replace(offset=here.offset, raw=here.raw)

        return read._replace(table=read.table._replace(place=place), rejects=rejects)


class _Back:
    """Finds the bytes of the file for bytes of the text; places that rise cost no more than one look at the piece."""

    def __init__(self, piece: Piece, data: bytes, encoding: str, errors: str) -> None:
        self._piece, self._data, self._encoding, self._errors = piece, data, encoding, errors
        self._known = (0, 0)

    def of(self, offset: int, raw: bytes) -> Place:
        """Return offset and bytes in the file of what stands at `offset` of the text, counted from the piece's place."""
        begin = offset - self._piece.start
        if begin < self._known[0]:
            self._known = (0, 0)
        at, there = self._known
        there += self._width(self._data[at:begin])
        self._known = (begin, there)
        size = self._width(self._data[begin : begin + len(raw)])
        return Place(0, 0, self._piece.start + there, self._piece.data[there : there + min(size, RAW_BYTES)])

    def _width(self, part: bytes) -> int:
        """Return how many bytes of the file a part of the text is."""
        try:
            return len(part.decode("utf-8", "surrogatepass").encode(self._encoding, self._errors))
        except UnicodeError:  # a character was cut in two where 64 KiB of the row end, or the last byte of the file is half of one
            whole = part.decode("utf-8", "ignore")
            return len(whole.encode(self._encoding, self._errors)) + (len(part) - len(whole.encode("utf-8", "surrogatepass")))
