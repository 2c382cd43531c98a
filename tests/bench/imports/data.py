"""The files that are imported: orders, eight columns of mixed types, made anew for each run and always the same."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

COLUMNS: Final = ("id", "customer", "email", "amount", "quantity", "paid", "state", "created_at")
STATES: Final = ("new", "paid", "shipped", "returned")
QUOTED: Final = 33
"""Each so many-th customer has a comma in the name, and stands in quotes in a CSV file."""
RULES: Final[dict[str, Any]] = {
    "data_types": {"id": "int64", "amount": "float64", "quantity": "int64", "paid": "bool", "created_at": "datetime"},
    "required": ["id", "email"],
    "regex": {"email": "[^@ ]+@[^@ ]+"},
    "min": {"id": 0, "amount": 0, "quantity": 1},
    "max": {"amount": 1_000_000, "quantity": 100},
    "length": {"customer": {"min": 1, "max": 80}},
    "enum": {"state": list(STATES)},
}
"""Five casts and ten rules."""
BAD_EVERY: Final = 100
BATCH: Final = 10_000

EXTENSIONS: Final = {"excel": "xlsx"}
Row = tuple[int, str, str, float, int, bool, str, str]
Bad = Callable[[int, bytes], bytes]


def source(data_format: str) -> dict[str, str]:
    """Return what has to be said of a file beside its format."""
    return {"record_path": "order"} if data_format == "xml" else {}


def row(n: int) -> Row:
    """Return order `n`."""
    name = f"O'Brien, Pat {n % 997}" if n % QUOTED == 0 else f"Dorothea Krüger {n % 997}"
    at = f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T{n % 24:02}:{n % 60:02}:00Z"
    return n, name, f"user{n}@example.com", (n * 37 % 100_000) / 100, n % 50 + 1, n % 3 > 0, STATES[n % 4], at


def csv_line(n: int) -> bytes:
    """Return it as a line of CSV."""
    number, name, email, amount, quantity, paid, state, at = row(n)
    name = f'"{name}"' if "," in name else name
    return f"{number},{name},{email},{amount:.2f},{quantity},{'true' if paid else 'false'},{state},{at}\n".encode()


def value(_: int, line: bytes) -> bytes:
    """Make the amount no number."""
    parts = line.rsplit(b",", 5)
    return b",".join([parts[0], b"much", *parts[2:]])


def ragged(_: int, line: bytes) -> bytes:
    """Take the last field away."""
    return line.rpartition(b",")[0] + b"\n"


def junk(n: int, line: bytes) -> bytes:
    """Put something between a closing quote and the delimiter."""
    return line.replace(b",", b',"x"y', 1) if n % QUOTED else line.replace(b'",', b'"y,', 1)


def unterminated(_: int, line: bytes) -> bytes:
    """Open a quote that nothing closes before the line's end."""
    return line.rpartition(b",")[0] + b',"2026\n'


def csv(path: Path, rows: int, bad: Bad | None = None) -> int:
    """Write a file with a header, one row in a hundred of it bad in one way; returns its size."""
    lines = (csv_line(n) if bad is None or n % BAD_EVERY != 1 else bad(n, csv_line(n)) for n in range(rows))
    return _written(path, (",".join(COLUMNS).encode() + b"\n",), lines)


def ndjson(path: Path, rows: int) -> int:
    """Write an object a line; returns the size."""
    return _written(path, (), (_object(n) + b"\n" for n in range(rows)))


def json(path: Path, rows: int) -> int:
    """Write one array of objects; returns the size."""
    return _written(path, (b"[\n",), (_object(n) + (b",\n" if n + 1 < rows else b"\n]\n") for n in range(rows)))


def xml(path: Path, rows: int) -> int:
    """Write an element a row, and in it one a column; returns the size."""
    return _written(path, (b"<orders>\n",), (_element(n) for n in range(rows)), (b"</orders>\n",))


def parquet(path: Path, rows: int) -> int:
    """Write row groups of 100,000 rows, packed by zstd; returns the size."""
    n = pl.int_range(rows, dtype=pl.Int64)
    name = pl.when(n % QUOTED == 0).then(pl.lit("O'Brien, Pat ")).otherwise(pl.lit("Dorothea Krüger ")) + (n % 997).cast(pl.String)
    made: dict[str, pl.Expr] = {
        "id": n,
        "customer": name,
        "email": pl.format("user{}@example.com", n),
        "amount": (n.hash(1) % 100_000) / 100,
        "quantity": (n.hash(2) % 50 + 1).cast(pl.Int64),
        "paid": n.hash(3) % 3 > 0,
        "state": pl.lit(pl.Series(STATES)).gather(n % len(STATES)),
        "created_at": pl.datetime(2026, n % 12 + 1, n % 28 + 1, n % 24, n % 60),
    }
    pl.select(expression.alias(column) for column, expression in made.items()).write_parquet(path, compression="zstd", row_group_size=10 * BATCH)
    return path.stat().st_size


def excel(path: Path, rows: int) -> int:
    """Write a workbook of one sheet with its strings in place, as exports of databases are written; returns the size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        book.writestr("[Content_Types].xml", _TYPES)
        book.writestr("_rels/.rels", _RELS.format(kind="officeDocument", target="xl/workbook.xml"))
        book.writestr("xl/workbook.xml", _BOOK)
        book.writestr("xl/_rels/workbook.xml.rels", _RELS.format(kind="worksheet", target="worksheets/sheet1.xml"))
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(b'<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>')
            for batch in _batches(_cells(at, values) for at, values in enumerate((COLUMNS, *map(row, range(rows))), 1)):
                sheet.write(batch)
            sheet.write(b"</sheetData></worksheet>")
    return path.stat().st_size


def _object(n: int) -> bytes:
    return orjson.dumps(dict(zip(COLUMNS, row(n), strict=True)))


def _element(n: int) -> bytes:
    cells = "".join(f"<{name}>{str(cell).lower() if cell in {True, False} else cell}</{name}>" for name, cell in zip(COLUMNS, row(n), strict=True))
    return f"<order>{cells}</order>\n".encode()


def _cells(at: int, values: Iterable[object]) -> bytes:
    cells = "".join(_cell(f"{chr(65 + place)}{at}", cell) for place, cell in enumerate(values))
    return f'<row r="{at}">{cells}</row>'.encode()


def _cell(where: str, cell: object) -> str:
    if isinstance(cell, bool):
        return f'<c r="{where}" t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, int | float):
        return f'<c r="{where}"><v>{cell}</v></c>'
    return f'<c r="{where}" t="inlineStr"><is><t>{cell}</t></is></c>'


def _written(path: Path, *parts: Iterable[bytes]) -> int:
    with path.open("wb") as file:
        for part in parts:
            for batch in _batches(part):
                file.write(batch)
    return path.stat().st_size


def _batches(parts: Iterable[bytes]) -> Iterator[bytes]:
    source = iter(parts)
    while batch := list(islice(source, BATCH)):
        yield b"".join(batch)


_TYPES: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
)
_RELS: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/></Relationships>'
)
_BOOK: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="orders" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
