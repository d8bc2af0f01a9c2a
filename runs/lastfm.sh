#!/usr/bin/env bash
# The real benchmark, all folds and seeds: Last.fm plays × Million Song Dataset analyses.
# Usage: runs/lastfm.sh DATA_FOLDER      (a killed run goes on where it was; scratch lies in work/lastfm)
set -euo pipefail
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
DATA=${1:?"usage: runs/lastfm.sh DATA_FOLDER, the folder with lastfm/, msd_h5/ and lastfm_artist_to_msd_track.csv"}

# Fold by fold: hide the plays of its artists, factorise the rest, learn to hear, rank the hidden artists, score.
deepcuts experiment lastfm "$DATA" -o docs/results --work work/lastfm

# The paper's tags, Table 1, Table 4 and map, with the same artists.
deepcuts experiment real-paper "$DATA" -o docs/results --work work/lastfm

# The pages show what the numbers say.
deepcuts experiment pages
