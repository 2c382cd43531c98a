import pytest

from flows.core.errors import BadRequest
from ingress.jsonbody import MOST_DEPTH, read_json


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"1e999",
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "\\u0061": 2}}',
        b"[" * 100_000,
        b"[" * 100 + b"]" * 100,
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b"1" * 5000,
        b"{}{}",
        b"\x00",
    ],
)
def test_what_is_not_read_alike_by_everybody_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        read_json(raw)


def test_a_number_that_no_double_holds_is_not_called_no_json() -> None:
    with pytest.raises(BadRequest, match=r"^The body has a number beyond what a double holds, at line 1 column 6: write it as a text\.$"):
        read_json(b'{"n":1e400}')


@pytest.mark.parametrize("raw", [b"{}", b"null", b'{"a": [1, 2.5, "\\u0000", true]}', b"[" * (MOST_DEPTH - 1) + b"]" * (MOST_DEPTH - 1)])
def test_plain_json_is_read(raw: bytes) -> None:
    read_json(raw)
