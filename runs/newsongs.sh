#!/usr/bin/env bash
# The outsider's path: from plays you have and songs nobody has played, to a ranking of those songs for every user.
# Usage: runs/newsongs.sh DATA_FOLDER NEW_ANALYSES OUT [COLD_IDS]
#   DATA_FOLDER   Last.fm plays, analyses of known artists and the table that joins them
#   NEW_ANALYSES  a folder of Million Song Dataset analyses (.h5) that no training has seen
#   OUT           where everything goes; the answer is OUT/ranking/ranking.parquet
#   COLD_IDS      optional text file of artist ids whose plays must not be learned from, one a line
# Sound files work the same way: `audio logmel` in place of `audio echonest`, `--encoder cnn`.
set -euo pipefail
DATA=${1:?"usage: runs/newsongs.sh DATA_FOLDER NEW_ANALYSES OUT [COLD_IDS]"}
NEW=${2:?"missing NEW_ANALYSES"}
OUT=${3:?"missing OUT"}
COLD=${4:-}
mkdir -p "$OUT"

# What is known: plays, and which tracks belong to which artist.
deepcuts data lastfm "$DATA/lastfm/hetrec2011-lastfm-2k.zip" -o "$OUT/plays"
deepcuts data tracks "$DATA/lastfm_artist_to_msd_track.csv" -o "$OUT/tracks.csv"
SPLIT=()
if [ -n "$COLD" ]; then
  deepcuts data split "$OUT/plays" -o "$OUT/split" --set by=list --set validation=0 --test-songs "$COLD"
  SPLIT=(--split "$OUT/split")
fi

# What listeners share.
deepcuts factors "$OUT/plays" "${SPLIT[@]}" -o "$OUT/factors" --sizes 10,20,40 --settings runs/lastfm.toml

# Known artists as statistics of their analyses, averaged over tracks; the same for the new songs.
deepcuts audio echonest "$DATA/msd_h5" -o "$OUT/known" --settings runs/lastfm.toml
deepcuts audio pool "$OUT/known" --songs "$OUT/tracks.csv" -o "$OUT/known-pooled" --settings runs/lastfm.toml
deepcuts audio echonest "$NEW" -o "$OUT/new" --settings runs/lastfm.toml
deepcuts audio pool "$OUT/new" -o "$OUT/new-pooled" --settings runs/lastfm.toml

# From statistics to factors; predict the new songs; rank all of them for every user.
# Trees are rough and kernels smooth: their mean errs less than either.
for ENCODER in trees kernel; do
  deepcuts predict fit "$OUT/known-pooled" "$OUT/factors" "${SPLIT[@]}" --encoder $ENCODER -o "$OUT/$ENCODER" \
    --settings runs/lastfm.toml
  deepcuts predict songs "$OUT/$ENCODER" "$OUT/new-pooled" -o "$OUT/predicted-$ENCODER"
done
deepcuts predict average "$OUT/predicted-trees" "$OUT/predicted-kernel" -o "$OUT/predicted"
deepcuts recommend "$OUT/factors" --predicted "$OUT/predicted" --which cold -k 0 -o "$OUT/ranking"
