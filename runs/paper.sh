#!/usr/bin/env bash
# The paper from its first section to its last figure, on a planted world: each command makes one part and prints it.
# Usage: runs/paper.sh [SCALE]     small (half an hour on 2 cores), paper (its own sizes, overnight) or tiny (a minute)
# A killed run goes on where it was: finished parts stay in work/paper-SCALE, and no part is made twice.
set -euo pipefail
PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
SCALE=${1:-small}
part() { deepcuts reproduce --scale "$SCALE" --work "work/paper-$SCALE" --only "$1"; }

# Section 2, the dataset. Songs that really sound, users with tastes, plays; a fifth of the songs (whole artists) is hidden.
# Section 4, the two ways to hear. MFCC -> 4,000 words -> counts -> PCA, learned from training songs; log-mel for the network.
part world

# Section 3, weighted matrix factorisation, and section 1.3, what its factors mean: artists at both ends of three of them.
part table1

# Section 5.1, versatility: the factors, and the bags of words, as inputs of a logistic regression that tells tags.
part tags51

# Section 5.2, the subset. MLR, linear regression, MLP and the network with both of its objectives (equations 4 and 5) rank
# songs that nobody has played, for every user.
part table2

# Section 5.2, the full data set, here as larger factors: linear regression and the network between chance and upper bound.
part table3

# Section 5.3: the songs most like a song, once from plays and once from sound.
part table4

# Section 5.3, the picture: usage patterns predicted from sound, in two dimensions.
part figure1

# The report: everything above beside the paper's own numbers, and an answer to each of its claims.
deepcuts reproduce --scale "$SCALE" --work "work/paper-$SCALE" -o docs/results
