"""Print `kafka.jars` anew: what Apache Kafka's broker takes, with sha256 sums. `deploy/lock/make.sh` runs it."""

import hashlib
import sys

from jgo.maven import MavenContext

KAFKA = "org.apache.kafka:kafka_2.13:4.2.2"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # the broker logs through slf4j 1.7 and brings no binding for it; same version as its log4j-core


def main() -> None:
    """Print one line for each jar: group:artifact:version and the sum of the file the repository serves."""
    context = MavenContext()
    inputs, transitive = context.resolver.resolve([context.create_dependency(KAFKA)])  # alone: another's BOM would move its versions
    artifacts = [d.artifact for d in (*inputs, *transitive)] + [context.create_dependency(LOGGING).artifact]
    for artifact in sorted(artifacts, key=lambda a: (a.groupId, a.artifactId)):
        digest = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        sys.stdout.write(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} sha256:{digest}\n")


if __name__ == "__main__":
    main()
