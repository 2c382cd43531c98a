"""What is written can be read back, and rows sort as times do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core import codec
from flows.core.record import Record

TIMES = st.integers(0, codec.TIME_END - 1)
RECORDS = st.builds(
    Record,
    topic=st.text(max_size=20).filter(lambda text: text.isprintable()),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(-1, 2**63 - 1),
    timestamp_ms=st.integers(-1, 2**63 - 1),
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=400),
    headers=st.lists(st.tuples(st.text("abc-_é", max_size=8), st.binary(max_size=40)), max_size=5).map(tuple),
)


@given(RECORDS)
def test_a_record_kept_in_state_comes_out_as_it_went_in(record: Record) -> None:
    assert codec.unpack_record(codec.pack_record(record)) == record


@given(RECORDS, st.data())
def test_a_record_cut_short_or_drawn_out_is_refused(record: Record, data: st.DataObject) -> None:
    packed = codec.pack_record(record)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(ValueError, match="packed record"):
        codec.unpack_record(packed[:cut])
    with pytest.raises(ValueError, match="packed record"):
        codec.unpack_record(packed + b"\x00")


@given(st.binary(max_size=200))
def test_any_other_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        record = codec.unpack_record(data)
    except ValueError:
        return
    assert codec.pack_record(record) == data


@given(st.binary(), TIMES, TIMES)
def test_a_value_is_seen_until_it_expires(value: bytes, expires_at_ms: int, now_ms: int) -> None:
    assert codec.live(codec.plain(value), now_ms) == value
    assert codec.live(codec.expiring(value, expires_at_ms), now_ms) == (value if now_ms < expires_at_ms else None)


@given(st.lists(st.tuples(TIMES, st.binary(max_size=6))))
def test_rows_sort_by_time_and_then_by_name(things: list[tuple[int, bytes]]) -> None:
    rows = [codec.expiry_row(name, codec.expiring(b"", time)) for time, name in things]
    assert [(codec.unpack_time(row, 1), row[codec.HEAD_BYTES :]) for row in sorted(rows)] == sorted(things)


@given(st.binary(max_size=3), st.binary(max_size=4))
def test_the_bound_behind_a_prefix_lets_in_what_begins_with_it_and_nothing_else(prefix: bytes, key: bytes) -> None:
    prefix, key = codec.USER + prefix, codec.USER + key
    assert (prefix <= key < codec.after(prefix)) == key.startswith(prefix)


@given(st.binary(max_size=12) | st.sampled_from([b"ua", b"ea", b"ta"]), st.none() | st.binary(max_size=20))
def test_what_others_wrote_to_a_changelog_is_told_from_ours(key: bytes, entry: bytes | None) -> None:
    if key[:1] in (codec.USER, codec.ENGINE, codec.TIMER) and entry and entry[0] >> 4 > codec.FORMAT:
        with pytest.raises(codec.NewerFormatError, match=f"state format {entry[0] >> 4}"):
            codec.check(key, entry)
        return
    ours = codec.check(key, entry)
    if ours and entry is not None:
        assert key[:1] in b"uet"
        assert entry[0] >> 4 == codec.FORMAT
