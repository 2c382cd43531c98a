"""The pieces of an upload, portion by portion: what was read ahead is what is taken, and nothing is taken twice or left out."""

from typing import Any

import pytest

from flows.core.files.cut_xml import XmlOptions
from flows.core.files.cutters import Format
from flows.core.files.pieces import PIECE_BYTES, Piece
from flows.steps.supply import Found, Gone, Most, Supply
from tests.kit.importer import Importer, importer

LINE = b"%07d,some text that makes the line longer than it would be\n"
DATA = b"".join(LINE % n for n in range(9 * PIECE_BYTES // len(LINE % 0)))
TWO, SIX = (Most(1 << 30, pieces * PIECE_BYTES) for pieces in (2, 6))


@pytest.fixture(scope="module")
def made(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Importer:
    return importer(kafka, tmp_path_factory.mktemp("supply"))


def supplied(made: Importer, **asked: Any) -> tuple[Supply, dict[str, Any]]:
    """Return a supply of an upload that has come whole, and what is asked of it."""
    upload_id = made.upload(DATA)
    place = made.uploads[upload_id]
    return Supply(made.bench.settings, place.partition, upload_id, 0), {"first": place.first, "last": place.last, "whole": True} | asked


def taken(supply: Supply, asked: dict[str, Any], *, ahead: bool) -> list[list[Piece]]:
    """Take portions until there are none; ahead, each is read before it is taken."""
    portions: list[list[Found]] = []
    start = asked["first"]
    while portions == [] or portions[-1]:
        if ahead:
            supply.look_ahead(start, asked, TWO)
        portions.append(supply.take(start, asked, TWO))
        start = portions[-1][-1].offset + 1 if portions[-1] else start
    return [[one.piece for one in portion] for portion in portions[:-1]]


def test_what_was_read_ahead_is_taken_as_if_it_had_not_been(made: Importer) -> None:
    supply, asked = supplied(made)
    plain = taken(supply, asked, ahead=False)
    assert b"".join(piece.data for portion in plain for piece in portion) == DATA
    assert {len(portion) for portion in plain[:-1]} == {2}
    supply.close()
    again, asked = supplied(made)
    assert taken(again, asked, ahead=True) == plain
    again.close()


def test_what_was_read_ahead_is_not_read_again_and_what_was_not_wanted_is_let_go(made: Importer) -> None:
    supply, asked = supplied(made)
    first, second = supply.take(asked["first"], asked, TWO)
    supply.look_ahead(second.offset + 1, asked, SIX)
    supply.close()  # the broker is asked no more
    six = supply.take(second.offset + 1, asked, TWO)
    assert b"".join(one.piece.data for one in (first, second, *six)) == DATA[: sum(len(one.piece.data) for one in (first, second, *six))]
    assert len(six) == 6
    other, asked = supplied(made)
    other.look_ahead(asked["first"] + 1, asked, TWO)
    assert [one.piece for one in other.take(asked["first"], asked, TWO)] == [first.piece, second.piece]
    other.close()


def test_a_beginning_without_a_record_comes_with_the_piece_behind_it(made: Importer) -> None:
    upload_id = made.upload(b"<rows>\n" + b"<row><id>1</id></row>\n" * 100_000 + b"</rows>\n", Format.XML, XmlOptions("row"))
    place = made.uploads[upload_id]
    supply = Supply(made.bench.settings, place.partition, upload_id, 0)
    found = supply.take(place.first, {"first": place.first, "last": place.last, "whole": True}, Most(1 << 30, PIECE_BYTES // 2))
    assert [one.piece.records > 0 for one in found] == [False, True]
    supply.close()


def test_nothing_is_read_ahead_of_a_file_that_is_still_coming(made: Importer) -> None:
    supply, asked = supplied(made, whole=False)
    (_, second) = supply.take(asked["first"], asked, TWO)
    supply.look_ahead(second.offset + 1, asked, SIX)
    supply.close()
    with pytest.raises(RuntimeError):
        supply.take(second.offset + 1, asked, SIX)


def test_pieces_that_are_gone_are_told_when_they_are_taken(made: Importer) -> None:
    supply, asked = supplied(made)
    first, *_ = supply.take(asked["first"], asked, TWO)
    supply.fed = len(first.piece.data)  # as if the one behind it had never come
    supply.look_ahead(asked["first"] + 3, asked, TWO)
    with pytest.raises(Gone, match=r"bytes [\d,]+ to [\d,]+ are not on xyra\.uploads any more\. Upload it again\."):
        supply.take(asked["first"] + 3, asked, TWO)
    supply.close()
