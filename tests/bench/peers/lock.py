"""Make `kafka_streams.jars`, `quix.txt` and `imports.txt` anew: what the peers take, with sha256 sums.

`python -m tests.bench.peers.lock`; needs `uv` on the PATH.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

HERE: Final = Path(__file__).parent
KAFKA_STREAMS: Final = "org.apache.kafka:kafka-streams:4.3.1"  # Jackson comes with it
ALONE: Final = ("org.slf4j:slf4j-nop:1.7.36", "org.eclipse.jdt:ecj:3.43.0")  # a logger that is silent; the compiler, since a JRE has none
LOCKS: Final = {
    "quix.txt": "quixstreams==3.28.1",
    "imports.txt": "dlt==1.31.0\nduckdb==2.0.1\nijson==3.6.0\npandas==3.1.1\npyarrow==26.0.1",  # dlt, with what its readers of CSV want; a reader of JSON
}


def jars() -> str:
    """Return one line for each jar: group:artifact:version and the sum of the file the repository serves."""
    context = MavenContext()
    inputs, transitive = context.resolver.resolve([context.create_dependency(KAFKA_STREAMS)])
    artifacts = [d.artifact for d in (*inputs, *transitive)] + [context.create_dependency(name).artifact for name in ALONE]
    lines = (
        f"{a.groupId}:{a.artifactId}:{a.version} sha256:{hashlib.sha256(a.resolve().read_bytes()).hexdigest()}\n"
        for a in sorted(artifacts, key=lambda a: (a.groupId, a.artifactId))
    )
    return "".join(lines)


def main() -> None:
    """Write all of them."""
    (HERE / "kafka_streams.jars").write_text(jars())
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header"]
    uv = shutil.which("uv") or "uv"
    for name, wanted in LOCKS.items():
        subprocess.run([uv, "pip", "compile", "--quiet", *options, "--output-file", str(HERE / name), "-"], input=wanted, text=True, check=True)


if __name__ == "__main__":
    main()
