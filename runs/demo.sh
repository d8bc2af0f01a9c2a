#!/usr/bin/env bash
# The whole journey on a planted world: plays and sound in, evaluated recommendations of unheard songs out.
# Usage: runs/demo.sh [FOLDER]      (DEMO_SONGS and DEMO_USERS make it smaller or larger)
set -euo pipefail
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
OUT=${1:-demo}
SONGS=${DEMO_SONGS:-1500}
USERS=${DEMO_USERS:-4000}
BOLD= PLAIN=
if [ -t 2 ]; then BOLD=$'\033[1m' PLAIN=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$BOLD" "$1" "$PLAIN" >&2; }
mkdir -p "$OUT"
STARTED=$SECONDS

say "1  A world with known truth: $SONGS songs that really sound, $USERS listeners with tastes, some of them audible."
deepcuts data world -o "$OUT/world" --set "n_songs=$SONGS" --set "n_users=$USERS"

say "2  One artist in five is new: their songs' plays are hidden from everything that learns."
deepcuts data split "$OUT/world/plays" -o "$OUT/split" --set by=artist

say "3  What listeners share: weighted matrix factorisation of the other songs' plays."
deepcuts factors "$OUT/world/plays" --split "$OUT/split" -o "$OUT/factors" --settings runs/demo.toml

say "4  What songs sound like: log-mel-spectrograms of every song, played or not."
deepcuts audio logmel "$OUT/world/sounds" -o "$OUT/logmel"

say "5  Learn to hear it: from sound to latent factors, by a linear model, by a convolutional network, and by what ranks best today."
deepcuts predict fit "$OUT/logmel" "$OUT/factors" --encoder linear --split "$OUT/split" --plays "$OUT/world/plays" -o "$OUT/linear" \
  --settings runs/demo.toml
deepcuts predict fit "$OUT/logmel" "$OUT/factors" --encoder cnn --split "$OUT/split" --plays "$OUT/world/plays" -o "$OUT/cnn" \
  --settings runs/demo.toml ${DEMO_EPOCHS:+--set n_epochs=$DEMO_EPOCHS}
deepcuts predict fit "$OUT/logmel" "$OUT/factors" --preset best --split "$OUT/split" --plays "$OUT/world/plays" -o "$OUT/best"
for ENCODER in linear cnn best; do
  deepcuts predict songs "$OUT/$ENCODER" "$OUT/logmel" --split "$OUT/split" -o "$OUT/predicted-$ENCODER"
done

say "6  How good is it, for songs nobody has played? Beside controls, and ceilings that only a planted world can know."
deepcuts evaluate "$OUT/world/plays" "$OUT/split" "$OUT/factors" --system linear="$OUT/predicted-linear" \
  --system cnn="$OUT/predicted-cnn" --system best="$OUT/predicted-best" --truth "$OUT/world/truth" \
  --features "$OUT/logmel" -o "$OUT/evaluation"
cp "$OUT"/evaluation/report.* "$OUT"

say "7  Three listeners: what they played, and the never-played songs they would get."
deepcuts recommend "$OUT/factors" --predicted "$OUT/predicted-best" --plays "$OUT/world/plays" --which cold -k 5 \
  -o "$OUT/ranking" --show 3

say "8  Everything an answer needs in one folder: a model that can be asked and served, and hears new songs."
deepcuts library "$OUT/world/sounds" -o "$OUT/library"
deepcuts bundle "$OUT/factors" --predicted "$OUT/predicted-best" --plays "$OUT/world/plays" --split "$OUT/split" \
  --encoder "$OUT/best" --songs "$OUT/library" --music "$OUT/world/sounds" -o "$OUT/model"

say "Done in $((SECONDS - STARTED)) s. Open $OUT/report.html; a program reads $OUT/report.json and $OUT/ranking/ranking.parquet.
Open the model in a browser: make serve      (or: .venv/bin/deepcuts serve $OUT/model, then http://127.0.0.1:8765)
Hear a new song: deepcuts place $OUT/model SOUND_FILE      Who would like it: deepcuts audience $OUT/model SOUND_FILE
To go on by hand: source .venv/bin/activate"
