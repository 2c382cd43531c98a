"""What a reading process is told of a job before it reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.core.imports.recall import Level


def memory_of(incremental: Mapping[str, Any] | None, since: Level | None = None) -> dict[str, Any]:
    """Return what tells rows that came before from others: of a job's `incremental`, and the watermark of the runs before, None where there is none."""
    told = {name: incremental[name] for name in ("cursor_column", "key")} if incremental is not None else {}
    return told | {"since": [*since] if since is not None else None}


def opening(asked: Mapping[str, Any], source: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """Return the message that opens a file.

    Args:
        asked: `job` as it stands on the log, `memory` where it has one, and `sha256`, `most_bytes`, `at`, `line`, `ordinal` of where reading begins.
        source: the job's source, with what is known of how the file is cut.
        path: where the file lies; None: it comes in pieces.

    """
    job = asked["job"]["definition"]
    rows = job["rows_per_record"]
    return {
        "kind": "open",
        "format": job["data_format"],
        "source": dict(source),
        "rules": job["transformation_rules"],
        "memory": asked.get("memory"),
        "output": {
            "file": asked["sha256"],
            "shape": "row" if rows == 1 else job["block_format"],
            "rows_per_record": rows,
            "key_columns": job["key_columns"],
            "most_bytes": asked["most_bytes"],
        },
        "at": asked["at"],
        "line": asked["line"],
        "ordinal": asked["ordinal"],
        "path": str(path) if path is not None else None,
    }
