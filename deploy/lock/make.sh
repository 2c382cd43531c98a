#!/bin/sh
# Make the lock files anew from pyproject.toml: versions and hashes, no registry host. Needs `uv` on the PATH.
set -eu
cd "$(dirname "$0")/../.."
lock() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header "$@"; }
lock pyproject.toml --extra local --group build --output-file deploy/lock/runtime.txt
lock pyproject.toml --group build --constraint deploy/lock/runtime.txt --output-file deploy/lock/image.txt  # without the local stack: images have the real one
lock pyproject.toml --extra local --group dev --output-file deploy/lock/dev.txt
.venv/bin/python -m deploy.local.lock > deploy/local/kafka.jars
