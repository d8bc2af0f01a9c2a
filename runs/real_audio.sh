#!/usr/bin/env bash
# Real tracks in every format: how fast, what is set aside and why, and what 20 kills do (nothing).
# Usage: runs/real_audio.sh [FOLDER_OF_SOUNDS]     (without one, Debian's free music is fetched: needs apt-get)
set -euo pipefail
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
python bench/real_audio.py "$@" --work work/real_audio -o docs/results/real_audio.json
deepcuts experiment pages
