"""Which form an answer has, by what `Accept` says."""

import pytest

from ingress.negotiation import preferred

LETTERS = ("application/json", "text/csv", "application/x-ndjson")
METRICS = ("text/plain", "application/json")


@pytest.mark.parametrize(
    ("accept", "offered", "given"),
    [
        ("", LETTERS, "application/json"),
        ("*/*", LETTERS, "application/json"),
        ("text/csv", LETTERS, "text/csv"),
        ("Text/CSV; charset=utf-8", LETTERS, "text/csv"),
        ("text/csv;q=0, application/json", LETTERS, "application/json"),
        ("text/csv;q=0", LETTERS, "application/json"),
        ("text/csv;q=0, */*", LETTERS, "application/json"),
        ("application/json;q=0, */*", LETTERS, "text/csv"),
        ("application/json;q=0.5, text/csv", LETTERS, "text/csv"),
        ("text/csv ; Q=0.4, application/x-ndjson;q=0.5", LETTERS, "application/x-ndjson"),
        ("text/csv, application/json", LETTERS, "text/csv"),
        ("application/json, text/csv", LETTERS, "application/json"),
        ("text/*", LETTERS, "text/csv"),
        ("*/*, text/csv", LETTERS, "text/csv"),
        ("text/csv;q=nonsense", LETTERS, "text/csv"),
        ("text/csv;q=nan, application/json;q=0.9", LETTERS, "text/csv"),
        ("image/png", LETTERS, "application/json"),
        (",;,=;q", LETTERS, "application/json"),
        ("application/json", METRICS, "application/json"),
        ("application/json, */*;q=0.5", METRICS, "application/json"),
        ("application/json;q=0", METRICS, "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", METRICS, "text/plain"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", METRICS, "text/plain"),
    ],
)
def test_what_is_wanted_most_is_given(accept: str, offered: tuple[str, ...], given: str) -> None:
    assert preferred(accept, offered) == given
