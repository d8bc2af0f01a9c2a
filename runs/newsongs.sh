#!/usr/bin/env bash
# The outsider's path: from plays you have and songs nobody has played, to a ranking of those songs for every user.
# Usage: runs/newsongs.sh DATA_FOLDER NEW_ANALYSES OUT [COLD_IDS]
#   DATA_FOLDER   Last.fm plays, analyses of known artists and the table that joins them
#   NEW_ANALYSES  a folder of Million Song Dataset analyses (.h5) that no training has seen
#   OUT           where everything goes; the answer is OUT/ranking/ranking.parquet
#   COLD_IDS      optional text file of artist ids whose plays must not be learned from, one a line
# Sound files work the same way: `audio logmel` in place of `audio echonest`, `--encoder cnn`.
set -euo pipefail
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
if [ $# -lt 3 ]; then
  sed -n '2,8s/^# //p' "$0" >&2
  exit 2
fi
DATA=$1
NEW=$2
OUT=$3
COLD=${4:-}
find "$NEW" -name '*.h5' -print -quit 2>/dev/null | grep -q . || { echo "error: $NEW holds no analyses (.h5)" >&2; exit 3; }
mkdir -p "$OUT"
# Files that cannot be read are set aside with a reason, and the exit code says so (7); the rest goes on.
some_set_aside() { "$@" || [ $? = 7 ]; }

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
some_set_aside deepcuts audio echonest "$DATA/msd_h5" -o "$OUT/known" --settings runs/lastfm.toml
deepcuts audio pool "$OUT/known" --songs "$OUT/tracks.csv" -o "$OUT/known-pooled" --settings runs/lastfm.toml
some_set_aside deepcuts audio echonest "$NEW" -o "$OUT/new" --settings runs/lastfm.toml
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
