"""Files that jobs may read: what lies below a root is, and nothing else, however its path is written or its folders are moved."""

import os
import socket
from pathlib import Path

import pytest

from flows.core.errors import NotFound, Refused, TooLarge, WrongSetting
from flows.core.settings import load
from flows.wire.roots import MOST_LINKS, Roots, same


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make `in`, which may be read, with a file at each of two depths, and `out`, which may not."""
    for name in ("in/a.csv", "in/b.csv", "in/.hidden.csv", "in/2026/c.csv", "in/2027/d.csv", "in/2027/e.txt", "out/secret.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "in"


def roots(*folders: Path, most: int = 1000) -> Roots:
    return Roots(folders, most)


def test_what_lies_below_a_root_is_opened(root: Path) -> None:
    opened = roots(root).open(f"{root}/2026/c.csv")
    with opened.file as file:
        assert file.read() == b"in/2026/c.csv"
        assert opened.version.size == 13
        assert same(opened)
        (root / "2026/c.csv").write_text("longer than it was before")
        assert not same(opened)


def test_a_root_may_be_a_link_and_the_innermost_one_counts(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    roots(link, link / "2026").open(f"{link}/2026/c.csv").file.close()


@pytest.mark.parametrize(
    "path",
    [
        "{in}/../out/secret.csv",
        "{in}//a.csv",
        "{in}/./a.csv",
        "{in}/",
        "{in}",
        "in/a.csv",
        "",
        "/",
        "{in}/a.csv/",
        "{in}/a\0.csv",
        "{out}/secret.csv",
        "{in}2/a.csv",
    ],
)
def test_what_is_not_plainly_below_a_root_is_refused_unseen(root: Path, path: str) -> None:
    with pytest.raises(Refused, match=r"plain absolute path|INTEGRATION_IMPORT_ROOTS") as caught:
        roots(root).open(path.replace("{in}", str(root)).replace("{out}", str(root.parent / "out")))
    assert type(caught.value) is Refused


def test_without_roots_nothing_is_read(root: Path) -> None:
    with pytest.raises(Refused, match="names no folder"):
        roots().open(f"{root}/a.csv")


def test_no_link_is_followed(root: Path) -> None:
    (root / "file").symlink_to(root.parent / "out/secret.csv")
    (root / "folder").symlink_to(root.parent / "out")
    (root / "inside").symlink_to(root / "a.csv")
    (root / "loop").symlink_to(root / "loop")
    for path in ("file", "folder/secret.csv", "inside", "loop", "loop/a"):
        with pytest.raises(Refused) as caught:
            roots(root).open(f"{root}/{path}")
        assert path in caught.value.detail
    for pattern, links in {"f*": ["file", "folder"], "f*/*": ["file", "folder"], "[il]*": ["inside", "loop"], "2026/*": []}.items():
        found = roots(root).find(f"{root}/{pattern}", 10)
        assert found.links == [f"{root}/{name}" for name in links], "where a link leads makes no difference to what is told of it"
        assert [one.path for one in found.files] == [f"{root}/2026/c.csv"] * (pattern == "2026/*")


def test_only_the_first_links_are_told(root: Path) -> None:
    for number in range(MOST_LINKS + 5):
        (root / f"l{number:02}").symlink_to("nowhere")
    assert roots(root).find(f"{root}/l*", 10).links == [f"{root}/l{number:02}" for number in range(MOST_LINKS)]


def test_a_folder_that_becomes_a_link_is_not_followed_either(root: Path) -> None:
    reader = roots(root)
    (root / "2026").rename(root / "moved")
    (root / "2026").symlink_to(root.parent / "out")
    with pytest.raises(Refused, match="links are not followed"):
        reader.open(f"{root}/2026/secret.csv")


def test_only_regular_files_are_read(root: Path) -> None:
    os.mkfifo(root / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(root, os.O_RDONLY)
        bound.bind(f"/proc/self/fd/{here}/s.csv")  # short, as a socket's path must be
        os.close(here)
    (root / "folder.csv").mkdir()
    for name in ("pipe.csv", "s.csv", "folder.csv"):
        with pytest.raises(Refused, match="is no regular file"):
            roots(root).open(f"{root}/{name}")
    with pytest.raises(Refused, match="is no regular file"):
        roots(Path("/dev")).open("/dev/null")
    assert [Path(found.path).name for found in roots(root).find(f"{root}/*.csv", 10).files] == ["a.csv", "b.csv"]


def test_what_is_not_there_or_too_large_is_said(root: Path) -> None:
    for path in ("none.csv", "none/a.csv"):
        with pytest.raises(NotFound, match="There is no file"):
            roots(root).open(f"{root}/{path}")
    with pytest.raises(Refused, match="cannot be opened"):
        roots(root).open(f"{root}/a.csv/b")
    with pytest.raises(Refused, match="cannot be opened"):
        roots(root).open(f"{root}/{'n' * 300}")
    with pytest.raises(TooLarge, match="has 8 bytes, and INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows 7"):
        roots(root, most=7).open(f"{root}/a.csv")
    with pytest.raises(Refused, match="which INTEGRATION_IMPORT_ROOTS names, cannot be opened"):
        roots(root / "none").open(f"{root}/none/a.csv")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("[a]*", ["a.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        (".*.csv", [".hidden.csv"]),
        ("*/*.csv", ["2026/c.csv", "2027/d.csv"]),
        ("202[7]/*", ["2027/d.csv", "2027/e.txt"]),
        ("2026/c.csv", ["2026/c.csv"]),
        ("2026/none*", []),
        ("none.csv", []),
    ],
)
def test_patterns_find_files_by_name(root: Path, pattern: str, expected: list[str]) -> None:
    assert [found.path for found in roots(root).find(f"{root}/{pattern}", 10).files] == [f"{root}/{name}" for name in expected]


def test_patterns_are_bounded_and_stay_below_their_root(root: Path) -> None:
    with pytest.raises(TooLarge, match="finds more than 1 files"):
        roots(root).find(f"{root}/*.csv", 1)
    with pytest.raises(Refused, match=r"\*\* is not read"):
        roots(root).find(f"{root}/**/a.csv", 1)
    with pytest.raises(Refused, match="INTEGRATION_IMPORT_ROOTS"):
        roots(root).find(f"{root.parent}/*/secret.csv", 1)
    with pytest.raises(NotFound):
        roots(root).find(f"{root}/none/*", 1)


def test_no_file_handle_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    os.mkfifo(root / "pipe")
    for path in ("pipe", "none", "2026", "2026/none", "a.csv/b"):
        with pytest.raises(Refused):
            roots(root).open(f"{root}/{path}")
    with pytest.raises(TooLarge):
        roots(root).find(f"{root}/*/*", 1)
    with pytest.raises(TooLarge):
        roots(root, most=1).open(f"{root}/a.csv")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_roots_are_a_list_of_absolute_paths() -> None:
    assert load({}).import_roots == ()
    assert load({"INTEGRATION_IMPORT_ROOTS": "/in:/srv/files:"}).import_roots == (Path("/in"), Path("/srv/files"))
    for text in ("in", "/", "/in:files", "/in/../etc"):
        with pytest.raises(WrongSetting, match="INTEGRATION_IMPORT_ROOTS"):
            load({"INTEGRATION_IMPORT_ROOTS": text})
