"""Kafka's jars: those that `kafka.jars` locks, fetched once, each checked against its sha256 sum."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local.cache import held, replacing
from flows.core.errors import Unavailable

FETCHES: Final = 8
"""At once: enough to fill a line, few enough to be polite."""


class Jar(NamedTuple):
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Its name on disk."""
        return f"{self.artifact}-{self.version}.jar"


def locked() -> tuple[Jar, ...]:
    """Read the lock that comes with the package."""
    return tuple(parse(resources.files("deploy.local").joinpath("kafka.jars").read_text()))


def release() -> str:
    """Return the locked Kafka's version."""
    return next(jar.version for jar in locked() if jar.artifact == "kafka-clients")


def parse(text: str) -> list[Jar]:
    """Read `group:artifact:version sha256:SUM` lines."""
    jars = []
    for line in text.splitlines():
        coordinate, _, digest = line.partition(" sha256:")
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, digest))
    return jars


def ensure(cache: Path, jars: tuple[Jar, ...], say: Callable[[str], None]) -> list[Path]:
    """Return the paths of `jars` under `cache`, fetching what is missing.

    Blocks while it downloads (about 40 MB the first time). A jar stands under its name only after its sum was checked, so
    a crash here leaves nothing half.

    Raises:
        Unavailable: a jar could not be fetched, or what came has another sum.

    """
    home = cache / "jars"
    paths = [home / jar.file for jar in jars]
    if all(path.exists() for path in paths):
        return paths
    home.mkdir(exist_ok=True)
    with held(cache / "jars.lock"):
        missing = [jar for jar in jars if not (home / jar.file).exists()]
        if missing:
            say(f"Fetching Apache Kafka ({len(missing)} jars)")
            _fetch(home, missing)
    return paths


def _fetch(home: Path, jars: list[Jar]) -> None:
    from jgo.config import GlobalSettings  # noqa: PLC0415  half a second that only the first start should pay
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415  as above
    from jgo.maven import MavenContext  # noqa: PLC0415  as above

    settings = GlobalSettings.load()  # a user's own mirror is honoured
    with tempfile.TemporaryDirectory(dir=home, prefix=".fetch-") as scratch, ThreadPoolExecutor(FETCHES) as pool:
        context = MavenContext(repo_cache=Path(scratch), local_repos=[settings.repo_cache], remote_repos={"central": MAVEN_CENTRAL_URL} | settings.repositories)

        def fetch(jar: Jar) -> None:
            try:
                got = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except (OSError, RuntimeError) as error:
                msg = f"Could not fetch {jar.file}: {error}. See that this machine reaches a Maven repository and start again."
                raise Unavailable(msg) from error
            place(got, home, jar)

        for _ in pool.map(fetch, jars):
            pass


def place(got: Path, home: Path, jar: Jar) -> None:
    """Check the sum of the file `got` and put it into `home`.

    Raises:
        Unavailable: it has another sum than the lock; nothing is put in place.

    """
    digest = hashlib.sha256(got.read_bytes()).hexdigest()
    if digest != jar.sha256:
        msg = f"{jar.file} has the sha256 sum {digest} and must have {jar.sha256}: it is not the file that was locked. Remove {got} and start again."
        raise Unavailable(msg)
    with replacing(home / jar.file) as part:
        shutil.copyfile(got, part)
