"""Who is at the door: one engine, driven by `flows.core.verification.Verification`, that verifies, signs and answers challenges.

    scheme = compile_scheme(presets.resolve(definition.preset, definition.verification))   # once per definition
    verdict = scheme.verify(request, secrets, clock.now_ms())                               # Verified | Rejected, for any bytes
    if request.method in scheme.challenge_methods:                                          # after verify; HEAD and GET without a verdict
        answered = scheme.challenge(request, secrets, verdict)                              # ChallengeAnswer | None

Bytes only, no I/O, no state but what a scheme was compiled from.
"""

from ingress.verification.keys import check_secret
from ingress.verification.message import ChallengeAnswer, Reason, Rejected, Request, Secret, Signed, Unsigned, Verified
from ingress.verification.scheme import Scheme, compile_scheme, decoy_verify

__all__ = [
    "ChallengeAnswer",
    "Reason",
    "Rejected",
    "Request",
    "Scheme",
    "Secret",
    "Signed",
    "Unsigned",
    "Verified",
    "check_secret",
    "compile_scheme",
    "decoy_verify",
]
