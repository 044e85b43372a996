#!/usr/bin/env bash
# Write requirements.lock: the versions that are tested together, and nothing else (no hosts, no hashes, no paths).
set -euo pipefail
cd "$(dirname "$0")/.."
{
    echo "# Versions tested together; written by tools/lock.sh. Used as constraints by the Makefile."
    .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
} >requirements.lock.new
mv requirements.lock.new requirements.lock
