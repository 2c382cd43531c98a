"""The README's tables, made from the tables in the code: `python -m deploy.docs` writes them, `--check` only compares.

A table stands between `<!-- made: NAME -->` and `<!-- end: NAME -->`; everything else in the README is written by hand.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from deploy.importdocs import rule_rows, source_rows
from flows.core import errors, presets, settings, signals, topics
from flows.core.outbound import egress, outcome
from flows.core.resources import Delivery, WebhookDefinition
from flows.core.verification import Verification
from ingress.control import routes

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
RESULTS: Final = ROOT / "tests" / "bench" / "results"
BLOCK: Final = re.compile(r"(<!-- made: (?P<name>[a-z]+) -->\n)(.*?)(<!-- end: (?P=name) -->)", re.DOTALL)
DAY_MS: Final = 86_400_000


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a pipe inside a cell is escaped."""
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def settings_table() -> str:
    """Return every setting."""
    return table(
        ("variable", "default", "allowed", "meaning"),
        ((f"`{row.variable}`", f"`{row.default}`" if row.default else "", row.allowed, row.meaning) for row in settings.rows()),
    )


def flow_names() -> list[str]:
    """Return the flows there are: each file beside the rooms of `flows` is one."""
    return sorted(path.stem for path in (ROOT / "flows").glob("*.py") if not path.stem.startswith("_"))


def topics_table() -> str:
    """Return every topic, the changelogs of the flows with them."""
    return table(
        ("topic", "holds", "key", "partitions", "kept", "written by", "read by"),
        (
            (
                f"`{topic.name}`",
                topic.meaning,
                topic.key,
                "`INTEGRATION_KAFKA_PARTITIONS`" if topic.partitions == "flow" else "1",
                "compacted" if topic.compacted else f"{topic.retention_ms // DAY_MS} days",
                topic.writer,
                topic.readers,
            )
            for topic in (*topics.TOPICS, *map(topics.changelog, flow_names()))
        ),
    )


def metrics_table() -> str:
    """Return every metric."""
    return table(
        ("metric", "kind", "labels", "meaning"),
        ((f"`{signal.name}`", signal.kind, " ".join(f"`{label}`" for label in signal.labels), signal.meaning) for signal in signals.SIGNALS),
    )


def _tree(error: type[errors.XyraError]) -> Iterator[type[errors.XyraError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def _sentence(error: type[errors.XyraError]) -> str:
    return (error.__doc__ or "").split("\n", maxsplit=1)[0].rstrip(".")


def problems_table() -> str:
    """Return the errors a caller meets, as problem documents."""
    answered = [error for error in _tree(errors.XyraError) if error.exit_code == 1 and error not in {errors.XyraError, errors.Refused}]
    return table(
        ("status", "`code`", "means", "what an operator does"),
        ((str(error.status), f"`{error.code}`", _sentence(error), error.operator) for error in sorted(answered, key=lambda error: error.status)),
    )


def egress_table() -> str:
    """Return what can come of a call out instead of an answer."""
    return table(
        ("`code`", "then", "means", "what an operator does"),
        ((f"`{row.code}`", "never called" if row.for_good else "tried again", row.meaning, row.operator) for row in egress.CODES),
    )


def exits_table() -> str:
    """Return the exit codes of the command `xyra`."""
    ending = [error for error in _tree(errors.XyraError) if error.exit_code != 1]
    fixed = [("0", "", "Done; a process that was told to stop has drained.", ""), ("1", "", "It did not work, or is not so; the text says what.", "")]
    away = "Kafka, the disk or another part that a worker or the ingress needs was not ready, or went away for longer than it is waited for"
    return table(
        ("exit", "`code`", "means", "what an operator does"),
        (
            *fixed,
            *((str(error.exit_code), f"`{error.code}`", _sentence(error), error.operator) for error in ending),
            (str(errors.AWAY), f"`{errors.Unavailable.code}`", away, errors.Fatal.operator),
        ),
    )


def routes_table() -> str:
    """Return every route of the ingress, from its OpenAPI document; each stands under `/v1` as well."""
    paths = routes().openapi()["paths"]
    return table(
        ("route", "does", "answers"),
        (
            (f"`{method.upper()} {path}`", route["summary"], " ".join(sorted(route["responses"])))
            for path, methods in paths.items()
            for method, route in methods.items()
            if not path.startswith("/v1/")
        ),
    )


def _kind(schema: dict[str, Any]) -> str:
    """Say what a JSON Schema allows, in a word or two."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(option) for option in schema["anyOf"] if option.get("type") != "null"))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return "list"
    return {"string": "text", "integer": "number", "boolean": "`true` or `false`"}.get(schema.get("type", "object"), "object")


def _short(value: Any) -> str:
    """Return a default as JSON without what is not set."""
    match value:
        case dict():
            value = {key: json.loads(_short(item)) for key, item in value.items() if item is not None}
        case list():
            value = [json.loads(_short(item)) for item in value]
    return json.dumps(value)


def _fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return table(
        ("field", "is", "default", "meaning"),
        (
            (
                f"`{name}`",
                _kind(field),
                "required" if name in required else f"`{_short(field['default'])}`" if field.get("default") else "",
                " ".join(field.get("description", "").split()),
            )
            for name, field in sorted(schema["properties"].items(), key=lambda field: field[0] not in required)
        ),
    )


def webhook_table() -> str:
    """Return what can be said of a webhook endpoint."""
    return _fields(WebhookDefinition)


def verification_table() -> str:
    """Return what can be said of how a sender proves itself."""
    return _fields(Verification)


def delivery_table() -> str:
    """Return what can be said of how an endpoint's events are delivered."""
    return _fields(Delivery)


def rules_table() -> str:
    """Return what `transformation_rules` of an import may say."""
    return table(("rule", "takes", "does"), rule_rows())


def source_table() -> str:
    """Return what can be said of where an import's file is and how it is read."""
    return table(("field", "takes", "formats", "meaning"), source_rows())


def outcomes_table() -> str:
    """Return what follows from a call to a target."""
    return table(
        ("a target gives", "`code`", "the record is", "counts against the target", "meaning"),
        ((row.when, f"`{row.code}`", row.consequence, "yes" if row.failing else "", row.meaning) for row in outcome.OUTCOMES),
    )


def presets_table() -> str:
    """Return the senders that are known by name."""
    return table(tuple(name.replace("_", " ") for name in presets.PresetRow._fields), presets.rows())


def _figure(result: dict[str, Any]) -> tuple[str, str, str, str]:
    ours, peer, unit = result["ours"]["max" if result["on"] == "worst" else "median"], result.get("peer"), result["unit"]
    beside = ", ".join(f"{name} {value:,g}" for name, value in result.get("beside", {}).items())
    against = f"{peer['name']}: {peer['median']:,g} {unit}; **{result['ratio']:g} x**" if peer else beside
    bar = f"{result['sense']} {result['bar']:g} {'x' if peer else unit}" + ("" if result["holds"] else ", **not reached**")
    return result["what"], f"{ours:,g} {unit}", against, bar


def figures_table() -> str:
    """Return what was measured, with the machine and the commit below; raises FileNotFoundError before the first `make bench`."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    if not results:
        raise FileNotFoundError(f"no figures in {RESULTS}: run `make bench`")
    runs = dict.fromkeys((result["commit"], *(result["machine"][key] for key in ("cpu", "cores", "memory_gib", "kernel", "python"))) for result in results)
    lines = [
        f"Commit `{commit}` on {cpu}, {cores} cores shared with the broker, {memory} GiB, {kernel}, Python {python}; medians."
        for commit, cpu, cores, memory, kernel, python in runs
    ]
    chart = "![Throughput beside the peers](tests/bench/results/chart.svg)\n\n" if (RESULTS / "chart.svg").exists() else ""
    return chart + table(("what", "ours", "peer, in the same run", "promised"), map(_figure, results)) + "\n" + "\n".join(lines) + "\n"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings_table,
    "topics": topics_table,
    "metrics": metrics_table,
    "problems": problems_table,
    "exits": exits_table,
    "egress": egress_table,
    "routes": routes_table,
    "webhook": webhook_table,
    "verification": verification_table,
    "delivery": delivery_table,
    "rules": rules_table,
    "source": source_table,
    "outcomes": outcomes_table,
    "presets": presets_table,
    "figures": figures_table,
}


def rendered(text: str) -> str:
    """Return `text` with each marked block made anew; raises KeyError for a block nobody makes."""
    return BLOCK.sub(lambda block: f"{block[1]}{TABLES[block['name']]()}{block[4]}", text)


def main() -> int:
    """Write the tables, or with `--check` say whether they are as the code has them: 0 yes, 1 no."""
    parser = argparse.ArgumentParser(prog="python -m deploy.docs", description="Make the README's tables from the tables in the code.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where the README is behind the code")
    check = parser.parse_args().check
    before = README.read_text(encoding="utf-8")
    after = rendered(before)
    if after == before:
        return 0
    if check:
        print("README.md is behind the code: run `python -m deploy.docs` and commit what it writes.")
        return 1
    README.write_text(after, encoding="utf-8")
    print("README.md: tables written.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
