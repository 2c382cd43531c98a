"""Legacy encodings are found: sentences of many languages in the encodings they are written in, and names alone, of which there may be few."""

import time

import pytest

from connectors.files.detect import detect, guess_of
from connectors.files.legacy import legacy
from tests.kit.languages import Case, cases, few


def right(case: Case) -> bool:
    return case.data.decode(legacy(case.data).encoding, "replace") == case.text


@pytest.mark.parametrize("rows", [3, 50])
def test_sentences_are_read_with_their_letters(rows: int) -> None:
    wrong = [(case.language, case.encoding, legacy(case.data).encoding) for case in cases((rows,)) if not right(case)]
    assert wrong == []


@pytest.mark.parametrize(("words", "share"), [(2, 0.88), (3, 0.94), (10, 1.0)])
def test_few_names_are_most_often_read_with_their_letters_and_else_it_is_said_that_it_is_a_guess(words: int, share: float) -> None:
    """Chardet alone: 0.74, 0.80, 0.90."""
    found = list(few(words))
    wrong = [case for case in found if not right(case)]
    assert len(wrong) <= (1 - share) * len(found)
    assert [case for case in wrong if legacy(case.data).certain] == []


@pytest.mark.parametrize(
    "text",
    [
        "name\n" + "Iñaki Muñoz\nÁngel Núñez\n" * 1_000,
        "name\nRené\nFrançois\nHélène Lefèvre\n",
        "name\nRené\nFrançois\nÉlodie déjà vu\n",
        "price\n5 €\n7 €\n",
        "1,ä\n2,ö\n",
    ],
)
def test_western_names_are_not_taken_for_those_of_elsewhere(text: str) -> None:
    found = detect(text.encode("cp1252"), "a.csv")
    assert found["encoding"] == "cp1252"
    assert found["notes"] == ["The encoding is a guess (windows-1252): name it in source_config.encoding if letters look wrong."]
    assert found["confidence"] <= 0.5


def test_names_of_several_languages_stand_in_one_file() -> None:
    data = "name\nBjørn Åsgård\nJosé Muñoz\nZoë Müller\nGonçalves da Conceição\n".encode("cp1252")
    assert detect(data, "a.csv")["encoding"] == "cp1252"


def test_what_is_certain_is_not_told_as_a_guess() -> None:
    told = [detect(case.data, "a.csv") for case in cases((2_000,))]
    guesses = [found for found in told if guess_of(found["encoding"]) in found["notes"]]
    assert len(guesses) < len(told) / 8


@pytest.mark.parametrize("data", [b"a" * 65_000 + b"\xe9", b"\xe9" * 65_536, b"\xe9a" * 32_000, bytes(range(128, 256)) * 512, b"\xff", b"\x00\xff\x1b"])
def test_no_bytes_keep_it_long(data: bytes) -> None:
    begun = time.process_time()
    legacy(data)
    assert time.process_time() - begun < 1.0
