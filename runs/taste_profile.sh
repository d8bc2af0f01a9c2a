#!/usr/bin/env bash
# Real Echo Nest plays through the Million Song Dataset's reader: factorised, folded in, evaluated.
# Usage: runs/taste_profile.sh DATA_FOLDER
set -euo pipefail
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
deepcuts experiment taste-profile "${1:?"usage: runs/taste_profile.sh DATA_FOLDER, the folder with taste_profile/"}"
deepcuts experiment pages
