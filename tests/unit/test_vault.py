import base64
import stat
from pathlib import Path

import pytest

from flows.core.errors import Busy, WrongSetting
from flows.core.settings import load
from flows.wire.instance import Instance
from flows.wire.vault import Vault, admin_key, load_or_make_key

PLAIN = "whsec_é\udcff\n"


def test_what_is_sealed_opens_in_its_context_only() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal(PLAIN, "webhook/a/1")
    assert PLAIN[:6] not in sealed
    assert vault.open(sealed, "webhook/a/1") == PLAIN
    assert vault.seal(PLAIN, "webhook/a/1") != sealed
    for wrong, context in [(sealed, "webhook/a/2"), (sealed[:-4], "webhook/a/1"), ("", "webhook/a/1"), ("v1.x.y", "webhook/a/1"), ("é.é.é", "webhook/a/1")]:
        with pytest.raises(WrongSetting):
            vault.open(wrong, context)


def test_every_flipped_bit_is_found() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal("secret", "c")
    box = bytearray(base64.urlsafe_b64decode(sealed.rpartition(".")[2]))
    for bit in range(len(box) * 8):
        box[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WrongSetting):
            vault.open(f"v1.{vault.key_id}.{base64.urlsafe_b64encode(box).decode()}", "c")
        box[bit // 8] ^= 1 << bit % 8


def test_another_key_is_named() -> None:
    one, other = Vault(b"k" * 32), Vault(b"l" * 32)
    with pytest.raises(WrongSetting, match=one.key_id):
        other.open(one.seal("x", "c"), "c")


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = load({"INTEGRATION_DATA_DIR": str(tmp_path / "data")})
    first = admin_key(settings)
    assert first.made
    assert admin_key(settings) == (first.text, False)
    assert stat.S_IMODE((tmp_path / "data" / "admin.key").stat().st_mode) == 0o600
    assert Vault.load(settings).key_id == Vault.load(settings).key_id


def test_a_key_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("")
    with pytest.raises(WrongSetting, match="empty"):
        load_or_make_key(tmp_path / "admin.key", lambda: "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongSetting):
        load_or_make_key(tmp_path / "file" / "key", lambda: "x")
    with pytest.raises(WrongSetting, match="INTEGRATION_SECRET_KEY"):
        Vault.load(load({"INTEGRATION_SECRET_KEY": "c2hvcnQ="}))


@pytest.mark.parametrize("key", [" key", "key\n", "   ", "ke\ty", "k\udcffy", "k\x7fy"])
def test_an_admin_key_that_no_header_carries_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match=r"^INTEGRATION_ADMIN_KEY holds"):
        admin_key(load({"INTEGRATION_ADMIN_KEY": key}))
    (tmp_path / "admin.key").write_text("a\x01b")
    with pytest.raises(WrongSetting, match=r"^The key in .*admin\.key holds"):
        admin_key(load({}, data_dir=str(tmp_path)))


def test_a_process_keeps_its_name_and_shares_it_with_nobody(tmp_path: Path) -> None:
    first, second = Instance(tmp_path, "ingress"), Instance(tmp_path, "ingress")
    assert first.name != second.name
    name = first.name
    first.close()
    again = Instance(tmp_path, "ingress")
    assert again.name == name
    rest = [Instance(tmp_path, "ingress") for _ in range(62)]
    with pytest.raises(Busy):
        Instance(tmp_path, "ingress")
    for held in (again, second, *rest):
        held.close()
