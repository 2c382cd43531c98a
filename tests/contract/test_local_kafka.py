"""Kafka's data directory, whatever a crash left of it."""

import os
from pathlib import Path

import pytest

from deploy.local import broker, kafka
from deploy.local.java import java
from deploy.local.kafka import MARK, RELEASE, Broker, prepare, whole
from flows.core.errors import WrongSetting


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Broker:
    made = Broker(tmp_path_factory.mktemp("kafka"), 20_000, broker.runtime(os.environ, print))
    prepare(made, pytest.fail)
    return made


def records(broker: Broker) -> Path:
    """Put a log with something in it into the data directory."""
    log = broker.data / "topic-0" / "00000000000000000000.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"record")
    return log


@pytest.mark.parametrize("torn", ["", "#\n", f"cluster.id={kafka.CLUSTER_ID}\n", f"version=1\ncluster.id={kafka.CLUSTER_ID}\nnode.id=1\ndirectory.id=abc"])
def test_a_torn_mark_comes_back_from_the_copy_and_no_record_is_lost(formatted: Broker, torn: str) -> None:
    before, log, said = (formatted.data / MARK).read_text(), records(formatted), list[str]()
    (formatted.data / MARK).write_text(torn)
    assert not whole(formatted.data / MARK)
    prepare(formatted, said.append)
    assert (formatted.data / MARK).read_text() == before
    assert log.read_bytes() == b"record"
    assert len(said) == 1


def test_a_directory_without_mark_and_copy_is_kept_aside_if_it_holds_records(formatted: Broker) -> None:
    records(formatted)
    (formatted.data / MARK).unlink()
    (formatted.home / MARK).unlink()
    prepare(formatted, lambda _: None)
    assert whole(formatted.data / MARK)
    assert [path.read_bytes() for path in formatted.home.glob("data.unmarked-*/topic-0/*.log")] == [b"record"]


@pytest.mark.parametrize("theirs", ["4.99.0", None])
def test_data_of_a_later_kafka_are_refused_and_left_alone(formatted: Broker, theirs: str | None) -> None:
    """Without a name they are of 4.3.1, the last before names were written."""
    release, before = formatted.home / RELEASE, (formatted.data / MARK).read_bytes()
    kept = release.read_text()
    release.unlink()
    if theirs is not None:
        release.write_text(theirs)
    with pytest.raises(WrongSetting, match=f"Kafka {theirs or '4.3.1'}.*INTEGRATION_DATA_DIR"):
        prepare(formatted, pytest.fail)
    assert (formatted.data / MARK).read_bytes() == before
    release.write_text(kept)
    prepare(formatted, pytest.fail)


def test_a_format_that_was_cut_off_is_made_again(formatted: Broker) -> None:
    (formatted.home / MARK).unlink()
    (formatted.data / MARK).unlink()
    (formatted.home / "data.new").mkdir()
    prepare(formatted, lambda _: None)
    assert whole(formatted.data / MARK)
    assert whole(formatted.home / MARK)
    assert not (formatted.home / "data.new").exists()


def test_an_aot_cache_that_does_not_fit_has_another_name(formatted: Broker, tmp_path: Path) -> None:
    """And one that is not there is not asked for."""
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"1")
    one = java(tmp_path, [jar])
    jar.write_bytes(b"22")
    assert java(tmp_path, [jar]).aot != one.aot
    assert not any("AOTCache" in word for word in one.command("Main"))
    assert any("AOTCache=" in word for word in formatted.java.command("Main"))
