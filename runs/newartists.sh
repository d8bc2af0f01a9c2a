#!/usr/bin/env bash
# The real benchmark on artists kept aside: learn from all artists of one table of audio statistics, hide the plays of
# some, and rank the artists of a second table for every listener.
# Usage: runs/newartists.sh DATA NEW_TABLE OUT COLD_IDS
#   DATA       a folder with Last.fm plays (lastfm/hetrec2011-lastfm-2k.zip) and lastfm_artist_track_audio.csv
#   NEW_TABLE  a csv with the same columns: artists nobody is supposed to have played
#   OUT        where everything goes; the answer is OUT/ranking/ranking.parquet (user_id, song_id, score, rank)
#   COLD_IDS   a text file of artist ids whose plays must not be learned from, one a line
set -euo pipefail
HERE=$(cd "$(dirname "$0")/.." && pwd)
PATH="$HERE/.venv/bin:$PATH"
if [ $# -lt 4 ]; then
  sed -n '2,8s/^# //p' "$0" >&2
  exit 2
fi
DATA=$1
NEW=$2
OUT=$3
COLD=$4
SETTINGS=$HERE/runs/artists.toml
mkdir -p "$OUT"

# What listeners share, without a play of the cold artists.
deepcuts data lastfm "$DATA/lastfm/hetrec2011-lastfm-2k.zip" -o "$OUT/plays"
deepcuts data split "$OUT/plays" -o "$OUT/split" --set by=list --set validation=0 --test-songs "$COLD"
deepcuts factors "$OUT/plays" --split "$OUT/split" -o "$OUT/factors" --sizes 8,16,32,64,128 --settings "$SETTINGS"

# The numbers of known and of new artists. A key is circular, so it is left out.
deepcuts audio table "$DATA/lastfm_artist_track_audio.csv" --id artist_id --drop key -o "$OUT/known"
deepcuts audio table "$NEW" --id artist_id --drop key -o "$OUT/new"

# From numbers to factors; the new artists placed among the known; all of them ranked for everybody.
deepcuts predict fit "$OUT/known" "$OUT/factors" --split "$OUT/split" --encoder stack -o "$OUT/encoder" --settings "$SETTINGS"
deepcuts predict songs "$OUT/encoder" "$OUT/new" -o "$OUT/predicted"
deepcuts recommend "$OUT/factors" --predicted "$OUT/predicted" --which cold -k 0 -o "$OUT/ranking"
