"""Schemes and presets as data: what may be written, what is refused and why, what the README's table is made of."""

import pytest
from pydantic import ValidationError

from flows.core import presets
from flows.core.errors import InvalidFields
from flows.core.verification import Verification, preset_table, template_parts
from tests.kit.vectors import PRESETS


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"content": "{body"}, "expected '}'"),
        ({"content": "{}"}, "names stand in braces"),
        ({"content": "{body!r}"}, "names stand in braces"),
        ({"content": "{body.x}"}, "fields does not have"),
        ({"content": "{nonce}{body}"}, "fields does not have"),
        ({"content": "{timestamp}{body}"}, "timestamp does not say"),
        ({"content": "{id}{body}"}, "id does not say"),
        ({"fields": {"body": {"header": "X"}}}, "built in"),
        ({"algorithm": "token", "content": "{id}", "id": {"header": "X"}}, "covers nothing"),
        ({"algorithm": "hmac-sha1", "accept_sha1": True}, "accept_sha1"),
        ({"signature": {"header": "X", "encoding": "text"}}, "encoding text"),
        ({"signature": {"path": "/sig"}}, "cannot cover that body"),
        ({"signature": {"query": "sig"}, "content": "{url}{body}"}, "cannot cover that URL"),
        ({"signature": {"header": "X", "path": "/sig"}}, "give one of"),
        ({"signature": {}}, "give one of"),
        ({"signature": {"query": "sig", "separator": ","}}, "for headers"),
        ({"algorithm": "ed25519", "challenges": [{"value": {"path": "/a"}, "text": "{value_hmac}"}]}, "needs an HMAC"),
        ({"challenges": [{"text": "{value}"}]}, "no value's place"),
        ({"algorithm": "md5"}, "hmac-sha256"),
        ({"timestamp": {"header": "X", "window_seconds": 0}}, "greater than"),
        ({"preset": "strpe"}, "there is no preset 'strpe'; there are airtable, bitbucket,"),
        ({"preset": "../presets/stripe"}, "there is no preset"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)  # fmt: skip
def test_a_scheme_that_cannot_work_is_refused_with_a_sentence(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Verification.model_validate(table)


def test_without_any_field_it_is_the_generic_scheme() -> None:
    generic = presets.load("generic_hmac").verification
    assert Verification().model_dump(exclude={"event_type"}) == generic.model_dump(exclude={"event_type"})
    assert presets.resolve(None, None) == Verification()
    assert presets.resolve("stripe", None) == presets.load("stripe").verification
    assert presets.resolve(None, Verification(accept_sha1=True)).accept_sha1


def test_fields_beside_a_preset_are_laid_over_it() -> None:
    narrow = Verification.model_validate({"preset": "stripe", "timestamp": {"window_seconds": 60}})
    stripe = presets.load("stripe").verification
    assert narrow.timestamp is not None
    assert stripe.timestamp is not None
    assert narrow.timestamp == stripe.timestamp.model_copy(update={"window_seconds": 60})
    assert narrow.signature == stripe.signature


@pytest.mark.parametrize("preset", PRESETS)
def test_what_was_written_down_reads_back_the_same(preset: str) -> None:
    scheme = Verification.model_validate({"preset": preset})
    for dumped in (scheme.model_dump_json(), scheme.model_dump_json(exclude_unset=True), scheme.model_dump_json(exclude_none=True, by_alias=True)):
        assert Verification.model_validate_json(dumped) == scheme
    assert scheme.model_copy(update={"preset": None}) == presets.load(preset).verification


def test_an_unknown_preset_is_told_with_those_there_are() -> None:
    for unknown in ("strpe", "../stripe", "", "stripe.toml"):
        with pytest.raises(InvalidFields) as raised:
            presets.load(unknown)
        assert raised.value.errors[0].pointer == "/preset"
        assert "stripe" in raised.value.detail


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_what_a_user_needs(preset: str) -> None:
    loaded = presets.load(preset)
    assert loaded.title
    assert loaded.description.endswith(".")
    assert loaded.sample.event_type is None or loaded.sample.event_type in loaded.event_types
    assert preset_table(preset)["verification"].keys() <= Verification.model_fields.keys()
    assert not {"id", "event_type"} - preset_table(preset)["verification"].keys()


def test_the_table_has_a_row_for_each() -> None:
    rows = {row.preset.strip("`"): row for row in presets.rows()}
    assert tuple(rows) == PRESETS
    assert rows["stripe"] == presets.PresetRow(
        preset="`stripe`",
        sender="[Stripe](https://docs.stripe.com/webhooks#verify-manually)",
        algorithm="hmac-sha256, hex",
        signed_content="`{timestamp}.{body}`",
        header="`Stripe-Signature` `v1`",
        window="± 300 s (s)",
        sender_id="body `/id`",
        event_type="body `/type`",
        challenge="-",
    )
    assert rows["gitlab"].signed_content == "nothing"
    assert rows["meta"].challenge == "GET, unsigned"
    assert not any("|" in cell or "\n" in cell for row in rows.values() for cell in row)


def test_a_template_is_texts_and_names() -> None:
    assert template_parts("v0:{timestamp}:{{{body}}}") == [("v0:", "timestamp"), (":{", None), ("", "body"), ("}", None)]
