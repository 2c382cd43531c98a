"""The README says what is: no row of the code is missing in it, and it names nothing that is not there."""

import ast
import re
from importlib.metadata import version
from pathlib import Path

import confluent_kafka
import pytest

from deploy import docs
from deploy.importdocs import rule_rows, source_rows
from flows.core import settings, signals, topics
from flows.core.files.pieces import PIECE_BYTES
from flows.core.imports.rules import TransformationRules
from flows.core.imports.source import SourceConfig
from flows.steps.parse import CHUNKS, MOST_ROWS
from flows.steps.supply import PORTION_BYTES
from ingress.control import routes
from tests.arch.tree import ROOT, name, parse, python, tracked

README = docs.README.read_text(encoding="utf-8")
CODE = "\n".join(path.read_text(encoding="utf-8") for path in python("flows", "ingress", "connectors", "deploy") if path.name != "signals.py")
NAMES = set(re.findall(r"\w+", CODE))
READ = set(re.findall(r"\.(\w+)", CODE))
FOR_LATER = {
    "rate_limit_default",
}
"""Settings whose names and defaults are promised already, and which nothing reads yet; their rows say so."""


def test_every_table_is_as_the_code_has_it() -> None:
    assert docs.rendered(README) == README, "run `python -m deploy.docs`"


def test_every_table_has_its_place() -> None:
    assert {block["name"] for block in docs.BLOCK.finditer(README)} == set(docs.TABLES)


def test_every_rule_of_an_import_is_told_here_and_in_the_openapi_document() -> None:
    assert all(all(row) for row in (*rule_rows(), *source_rows()))
    assert {re.findall(r"\w+", name)[0] for name, *_ in rule_rows()} == {*TransformationRules.model_fields}
    schemas = routes().openapi()["components"]["schemas"]
    assert {*schemas["TransformationRules"]["properties"]} == {*TransformationRules.model_fields}
    assert all(field["description"] for field in schemas["TransformationRules"]["properties"].values())
    for order in ("JobDefinition", "PreviewRequest"):
        assert schemas[order]["properties"]["transformation_rules"]["$ref"].endswith("/TransformationRules")


def test_a_portion_is_told_as_large_as_it_is() -> None:
    told = f"portions: of {CHUNKS} chunks but {MOST_ROWS:,} rows at most, or of {PORTION_BYTES >> 20} MiB of the file"
    piece = f"up to {PIECE_BYTES >> 10} KiB"
    for text in (SourceConfig.model_fields["chunk_size"].description or "", README.replace("chunks of `chunk_size` rows", "chunks")):
        assert told in " ".join(text.split())
        assert piece in " ".join(text.split())


def test_every_refusal_that_a_route_answers_with_is_a_row_of_the_problems() -> None:
    rows = set(re.findall(r"^\| (\d{3}) \|", docs.problems_table(), re.MULTILINE))
    answered = {status for methods in routes().openapi()["paths"].values() for operation in methods.values() for status in operation["responses"]}
    assert {status for status in answered if status >= "400"} | {"405", "431", "500"} <= rows


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        (r"\bINTEGRATION_[A-Z_]+\b", {row.variable for row in settings.rows()}),
        (r"(?<![\w/])xyra_[a-z_]+\b", {signal.name for signal in signals.SIGNALS}),
        (r"\bxyra\.[a-z]+(?:\.[a-z]+)?\b", {topic.name for topic in (*topics.TOPICS, *map(topics.changelog, docs.flow_names()))}),
    ],
    ids=["settings", "metrics", "topics"],
)
def test_it_names_all_there_is_and_nothing_else(pattern: str, known: set[str]) -> None:
    assert set(re.findall(pattern, README)) == known


@pytest.mark.parametrize("path", [path for path in tracked() if path.suffix == ".md"], ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        assert not file or path.parent.joinpath(file).exists(), target
        assert not anchor or file or anchor in anchors, target


@pytest.mark.parametrize("row", settings.rows(), ids=lambda row: row.name)
def test_every_setting_is_read_by_something(row: settings.Row) -> None:
    assert (row.name in READ) != (row.name in FOR_LATER)


@pytest.mark.parametrize("signal", signals.SIGNALS, ids=lambda signal: signal.name)
def test_every_metric_is_counted_by_something(signal: signals.Signal) -> None:
    constant = next(name for name, value in vars(signals).items() if value is signal)
    assert constant in NAMES


def test_the_changelog_is_kept() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "keepachangelog.com" in text
    assert "## [Unreleased]" in text
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_versions_it_names_are_those_it_was_tested_with() -> None:
    jars = (ROOT / "deploy" / "local" / "kafka.jars").read_text(encoding="utf-8")
    kafka = re.search(r"\bkafka_2\.13\D+(\d+\.\d+\.\d+)", jars)
    assert kafka
    named = (
        f"Apache Kafka {kafka[1]} and confluent-kafka {version('confluent-kafka')} (librdkafka {confluent_kafka.libversion()[0]}), Bytewax {version('bytewax')}"
    )
    assert named in README


def test_every_reason_a_record_is_buried_for_is_explained() -> None:
    codes = {
        node.args[0].value
        for path in python("flows")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Reason" and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert "schema" in codes
    assert not {code for code in codes if f"`{code!s}`" not in README}
