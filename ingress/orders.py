"""The read model of what operators have ordered: replays of dead letters and of the log, discards, pauses, import jobs."""

from typing import Final

from flows.core.imports.jobs import JOB, StoredJob
from flows.core.orders import DISCARD, PAUSE, REPLAY
from flows.core.reruns import RERUN, StoredRerun

KINDS: Final = frozenset({REPLAY, DISCARD, PAUSE, RERUN, JOB})


class OrdersView:
    """Orders as they stand on `xyra.config`, by key; never blocks. Read again from the topic after a crash."""

    def __init__(self) -> None:
        """Start empty."""
        self._raw: dict[str, bytes] = {}

    def apply(self, key: str, value: bytes | None, _offset: int) -> None:
        """Take one record of the topic."""
        if key.partition("/")[0] in KINDS:
            self._raw.pop(key, None)
            if value is not None:
                self._raw[key] = value

    def raw(self, key: str) -> bytes | None:
        """Return an order's record as it stands on the log."""
        return self._raw.get(key)

    def keys(self, kind: str) -> list[str]:
        """Return the keys of a kind's orders, in the order they were given."""
        return [key for key in self._raw if key.startswith(kind + "/")]

    def rerun(self, replay_id: str) -> StoredRerun | None:
        """Return an order to judge a window of the log anew; None when there is none, or a newer version wrote it."""
        raw = self._raw.get(f"{RERUN}/{replay_id}")
        try:
            return StoredRerun.model_validate_json(raw) if raw is not None else None
        except ValueError:
            return None

    def reruns(self) -> list[str]:
        """Return the ids of the orders to judge a window of the log anew, the newest first."""
        return sorted((key.partition("/")[2] for key in self.keys(RERUN)), reverse=True)

    def job(self, job_id: str) -> StoredJob | None:
        """Return an import job; None when there is none, or a newer version wrote it."""
        raw = self._raw.get(f"{JOB}/{job_id}")
        try:
            return StoredJob.model_validate_json(raw) if raw is not None else None
        except ValueError:
            return None

    def jobs(self) -> list[str]:
        """Return the ids of the import jobs, the newest first."""
        return sorted((key.partition("/")[2] for key in self.keys(JOB)), reverse=True)
