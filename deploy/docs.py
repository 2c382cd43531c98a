"""The README's tables, made from the tables in the code: `python -m deploy.docs` writes them, `--check` only compares.

A table stands between `<!-- made: NAME -->` and `<!-- end: NAME -->`; everything else in the README is written by hand.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from flows.core import errors, settings, signals, topics

ROOT: Final = Path(__file__).parents[1]
README: Final = ROOT / "README.md"
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


def exits_table() -> str:
    """Return the exit codes of the command `xyra`."""
    ending = [error for error in _tree(errors.XyraError) if error.exit_code != 1]
    fixed = [("0", "", "Done; a process that was told to stop has drained.", ""), ("1", "", "It did not work, or is not so; the text says what.", "")]
    return table(
        ("exit", "`code`", "means", "what an operator does"),
        (*fixed, *((str(error.exit_code), f"`{error.code}`", _sentence(error), error.operator) for error in ending)),
    )


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings_table,
    "topics": topics_table,
    "metrics": metrics_table,
    "problems": problems_table,
    "exits": exits_table,
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
