"""What a write makes of a definition: pure decisions, taken on the definition as it stands on the log."""

import secrets
from collections.abc import Callable

from flows.core import presets
from flows.core.errors import Conflict, FieldError, InvalidFields, NotFound
from flows.core.outbound.egress import Policy
from flows.core.resources import MOST_FORMER, SecretText, StoredSecret, StoredWebhook, WebhookDefinition, WebhookFields, WebhookReplacement, live
from flows.core.rules import check_definition
from flows.core.verification import Verification
from ingress.registrar import Decide
from ingress.verification import check_secret
from ingress.view import live_secrets

MOST_SECRETS = 8
"""Live secrets of one endpoint: each is tried on each request."""

Seal = Callable[[str, str, str], str]
"""Seals a secret: endpoint id, secret id, plain text."""
Unseal = Callable[[StoredSecret], str | None]
"""Gives a secret's plain text; None for one that cannot be opened with the key here."""


class Registration(WebhookDefinition):
    """A new webhook endpoint: its sender must be able to prove itself."""

    secret: SecretText
    """What the sender signs with or shows (its secret, its token, its user:password), or its public key; sealed before it is stored, never given back."""


def register(definition: Registration, calls: Policy, seal: Seal, now_ms: int, signs: StoredSecret | None = None) -> Decide:
    """Make a new endpoint, whose deliveries are signed with `signs`; `calls` says where they may go.

    Raises:
        InvalidFields: the definition cannot be run, or its secret is unfit; every reason at once.

    """
    checked(definition, calls)
    first = new_secret(definition.endpoint_id, definition.secret.get_secret_value(), None, seal, now_ms)

    signing = () if signs is None else (signs,)

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        if current is not None:
            again = "PUT replaces it" if current.status == "active" else "it was deactivated, and PUT makes it active again"
            raise Conflict(f"There is an endpoint {definition.endpoint_id} already; {again}.")
        fields = {name: getattr(definition, name) for name in WebhookFields.model_fields}
        public = WebhookDefinition.model_construct(endpoint_id=definition.endpoint_id, secret=None, **fields)
        return StoredWebhook(definition=public, secrets=(first,), delivery_secrets=signing, created_at_ms=now_ms, updated_at_ms=now_ms)

    return decide


def replace(
    endpoint_id: str,
    replacement: WebhookReplacement,
    calls: Policy,
    unseal: Callable[[StoredSecret], str],
    seal: Seal,
    now_ms: int,
    signs: StoredSecret | None = None,
) -> Decide:
    """Put another definition in an endpoint's place, active, deliveries switched on; its secrets stay unless there is a new one.

    `signs` is what its deliveries are signed with from now on, where it has a `url` and no delivery secret yet; `calls` says where they may go.

    Raises:
        InvalidFields: as in `register`; also, from the decision, when a secret that stays does not fit the new verification.

    """
    if replacement.endpoint_id not in {None, endpoint_id}:
        raise InvalidFields("The body names another endpoint.", errors=(FieldError("/endpoint_id", "mismatch", f"leave it out, or say {endpoint_id!r}"),))
    verification = checked(replacement, calls)
    given = new_secret(endpoint_id, replacement.secret.get_secret_value(), None, seal, now_ms) if replacement.secret else None
    fields = {name: getattr(replacement, name) for name in WebhookFields.model_fields}
    definition = WebhookDefinition.model_construct(endpoint_id=endpoint_id, secret=None, **fields)

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        kept = _there(endpoint_id, current)
        if given is None:
            for secret in live_secrets(kept, now_ms):
                wrong = check_secret(verification, unseal(secret))
                if wrong is not None:
                    raise InvalidFields("A secret the endpoint has does not fit; give a new one.", errors=(FieldError("/secret", wrong.code, wrong.detail),))
        stay = kept.secrets if given is None else (given,)
        signing = (signs,) if signs is not None and not live(kept.delivery_secrets, now_ms) else kept.delivery_secrets
        epochs = {"delivery_epoch": kept.delivery_epoch + 1, "probe_epoch": kept.probe_epoch + 1}
        switched = {"status": "active", "delivery_secrets": signing, **epochs}
        put = {"definition": definition, "former_topics": former_topics(kept, definition), "secrets": stay, "updated_at_ms": now_ms}
        return kept.model_copy(update=put | switched)

    return decide


def former_topics(kept: StoredWebhook, following: WebhookDefinition) -> tuple[str, ...]:
    """Return the topics that an endpoint's events went to before a definition, the latest first."""
    were = [kept.definition.target_topic, *kept.former_topics]
    return tuple(dict.fromkeys(name for name in were if name not in {None, following.target_topic}))[:MOST_FORMER]


def deactivate(endpoint_id: str, now_ms: int) -> Decide:
    """Take nothing more for an endpoint; what it has received stays."""

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        return _there(endpoint_id, current).model_copy(update={"status": "inactive", "updated_at_ms": now_ms})

    return decide


def add_secret(endpoint_id: str, plain: str, made: StoredSecret, retire_others_ms: int | None, unseal: Unseal, now_ms: int) -> Decide:
    """Add a live secret, another than those there are; `retire_others_ms` says when those expire, unless they do so sooner."""

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        there = _there(endpoint_id, current)
        wrong = check_secret(presets.resolve(there.definition.preset, there.definition.verification), plain)
        if wrong is not None:
            raise InvalidFields("The secret does not fit the endpoint's verification.", errors=(wrong,))
        live = live_secrets(there, now_ms)
        if any(secret.secret_id == made.secret_id for secret in there.secrets):
            raise Conflict(f"The endpoint has a secret {made.secret_id} already; choose another id.")
        same = next((secret.secret_id for secret in live if unseal(secret) == plain), None)
        if same is not None:
            raise Conflict(f"It is the secret that the endpoint has as {same}: give the sender's new one, or remove {same} first to change when it expires.")
        if len(live) >= MOST_SECRETS:
            raise Conflict(f"The endpoint has {len(live)} live secrets, and each is tried on each request; remove one first.")
        if retire_others_ms is not None:
            live = tuple(s.model_copy(update={"expires_at_ms": min(s.expires_at_ms or retire_others_ms, retire_others_ms)}) for s in live)
        return there.model_copy(update={"secrets": (*live, made), "updated_at_ms": now_ms})

    return decide


def remove_secret(endpoint_id: str, secret_id: str, now_ms: int) -> Decide:
    """Remove a secret at once; the last live one stays, since nobody could prove itself any more."""

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        there = _there(endpoint_id, current)
        if all(secret.secret_id != secret_id for secret in there.secrets):
            raise NotFound(f"The endpoint {endpoint_id} has no secret {secret_id}.")
        rest = tuple(secret for secret in there.secrets if secret.secret_id != secret_id)
        if not live_secrets(there.model_copy(update={"secrets": rest}), now_ms):
            raise Conflict("It is the last live secret: add another one first, or deactivate the endpoint.")
        return there.model_copy(update={"secrets": rest, "updated_at_ms": now_ms})

    return decide


def new_secret(endpoint_id: str, plain: str, secret_id: str | None, seal: Seal, now_ms: int, expires_at_ms: int | None = None) -> StoredSecret:
    """Seal a secret under a new id, or the one given."""
    name = secret_id or "key_" + secrets.token_hex(4)
    return StoredSecret(secret_id=name, sealed=seal(endpoint_id, name, plain), created_at_ms=now_ms, expires_at_ms=expires_at_ms)


def checked(definition: WebhookReplacement | Registration, calls: Policy) -> Verification:
    """Return how a definition's sender proves itself, all of the definition having been judged, its `url` by what may be called.

    Raises:
        InvalidFields: there is no such preset, a rule cannot be run, or the secret does not fit; every reason at once.

    """
    plain = definition.secret.get_secret_value() if definition.secret is not None else None
    errors = list(check_definition(definition, calls))
    verification = Verification()
    try:
        verification = presets.resolve(definition.preset, definition.verification)
    except InvalidFields as error:
        errors += error.errors
    else:
        wrong = check_secret(verification, plain) if plain is not None else None
        errors += [wrong] if wrong is not None else []
    if errors:
        raise InvalidFields("The definition has fields that are not valid.", errors=tuple(errors))
    return verification


def _there(endpoint_id: str, current: StoredWebhook | None) -> StoredWebhook:
    if current is None:
        raise NotFound(f"There is no endpoint {endpoint_id}; POST /integration/webhooks/register makes one.")
    return current
