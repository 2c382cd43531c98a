"""Who is measured on the engine's work: our own flows, Kafka Streams and Quix Streams; each made ready to be run."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from deploy.local import jars, java
from deploy.local.cache import user_cache
from tests.bench.place import Place
from tests.bench.rate import Work

PEERS: Final = Path(__file__).parent / "peers"
SOURCE: Final = PEERS / "KafkaStreamsPeer.java"
JAVA_LEVEL: Final = "21"
KAFKA_STREAMS: Final = "Kafka Streams 4.3.1, 1 thread, exactly_once_v2"
QUIX: Final = "Quix Streams 3.28.1, exactly-once"


def ours(place: Place, mode: str, topic: str, run: str) -> Work:
    """Return our flow of that mode as a worker; `run` names its group and its data."""
    command = [sys.executable, "-m", "tests.bench.flows", mode, "--topic", topic, "--name", run, "--slot", "0"]
    return Work("ours", command, f"xyra-{run}", place.env(f"ours-{run}"))


def kafka_streams(place: Place, mode: str, topic: str, run: str) -> Work:
    """Return the peer on Kafka Streams; fetched and compiled when that was not done yet."""
    cache = user_cache(os.environ)
    locked = tuple(jars.parse((PEERS / "kafka_streams.jars").read_text()))
    jre = java.java(cache, jars.ensure(cache, locked, place.say))
    classes = _compiled(place.home, jre)
    path = ":".join(map(str, (classes, *jre.classpath)))
    arguments = [mode, place.bootstrap, topic, f"streams-{run}", str(place.data / f"streams-{run}")]
    return Work("Kafka Streams", [str(jre.program), "-cp", path, SOURCE.stem, *arguments], f"streams-{run}")


def _compiled(home: Path, jre: java.Java) -> Path:
    """Compile the peer with Eclipse's compiler, one of the jars: a JRE has none of its own."""
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    classes = home / "classes" / key
    if not classes.exists():
        path = ":".join(map(str, jre.classpath))
        command = [str(jre.program), "-cp", path, "org.eclipse.jdt.internal.compiler.batch.Main", "-source", JAVA_LEVEL, "-target", JAVA_LEVEL]
        part = classes.with_suffix(".part")
        subprocess.run([*command, "-cp", path, "-d", str(part), str(SOURCE)], check=True)
        part.rename(classes)
    return classes


def quix(place: Place, mode: str, topic: str, run: str) -> Work:
    """Return the peer on Quix Streams, in its own venv; made when that was not done yet."""
    python = venv_of(place, "quix", "Quix Streams")
    command = [str(python), str(PEERS / "quix_peer.py"), mode, place.bootstrap, topic, f"quix-{run}", str(place.data / f"quix-{run}")]
    return Work("Quix Streams", command, f"quix-{run}")


def venv_of(place: Place, lock: str, name: str) -> Path:
    """Return the Python of a venv with what `peers/<lock>.txt` locks; made when that was not done yet."""
    locked = PEERS / f"{lock}.txt"
    home = place.home / lock
    mark = home / hashlib.sha256(locked.read_bytes()).hexdigest()[:16]
    python = home / "bin" / "python"
    if not mark.exists():
        place.say(f"Installing {name} into .bench/{lock}")
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(locked)], check=True)
        mark.touch()
    return python
