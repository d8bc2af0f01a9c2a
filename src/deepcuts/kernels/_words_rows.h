/* The frames of one block, for one instruction set (_sets.h); FRAMES and VECTORS are in _words.c.
 *
 * score(x, w) = x . w - |w|^2/2 grows by one channel at a time, in registers, and no table of scores is written. For
 * each frame a register keeps the best score in each lane and another the word that had it; the lanes meet at the end.
 * A tile of words (10 KB at 39 channels) comes from the second cache once for a group of frames.
 */
typedef float VECTOR __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t COUNTS __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

TARGET static inline __attribute__((always_inline)) void NAMED(score)(
    const float *const *x, const float *words, const float *start, Py_ssize_t n_channels, VECTOR (*score)[VECTORS])
{
    VECTOR sum[FRAMES][VECTORS];
    for (int f = 0; f < FRAMES; f++)
        for (int v = 0; v < VECTORS; v++)
            sum[f][v] = ((const VECTOR *)start)[v];
    for (Py_ssize_t c = 0; c < n_channels; c++) {
        const VECTOR *w = (const VECTOR *)(words + c * TILE);
        for (int f = 0; f < FRAMES; f++)
            for (int v = 0; v < VECTORS; v++)
                sum[f][v] += x[f][c] * w[v];
    }
    for (int f = 0; f < FRAMES; f++)
        for (int v = 0; v < VECTORS; v++)
            score[f][v] = sum[f][v];
}

/* Keep what is better, lane by lane. An equal score comes later and is not: the first word wins. */
TARGET static inline __attribute__((always_inline)) void NAMED(keep)(
    VECTOR score, COUNTS word, VECTOR *best, COUNTS *chosen)
{
    const COUNTS better = score > *best;
    *best = (VECTOR)(((COUNTS)score & better) | ((COUNTS)*best & ~better));
    *chosen = (word & better) | (*chosen & ~better);
}

/* Up to GROUP frames against all words. */
TARGET static void NAMED(group)(
    const float *words, const float *start, Py_ssize_t n_tiles, const float *frames, Py_ssize_t n_channels,
    Py_ssize_t n, int32_t *nearest)
{
    VECTOR best[GROUP];
    COUNTS chosen[GROUP], lanes = {0};
    for (int lane = 0; lane < LANES; lane++)
        lanes[lane] = lane;
    for (Py_ssize_t f = 0; f < n; f++) {
        best[f] = (VECTOR){0} - INFINITY;
        chosen[f] = (COUNTS){0};
    }
    for (Py_ssize_t tile = 0; tile < n_tiles; tile++)
        for (Py_ssize_t f = 0; f < n; f += FRAMES) {
            const float *x[FRAMES];
            for (int j = 0; j < FRAMES; j++) /* a missing frame repeats the first */
                x[j] = frames + n_channels * (f + j < n ? f + j : f);
            for (int first = 0; first < TILE; first += LANES * VECTORS) {
                VECTOR score[FRAMES][VECTORS];
                const Py_ssize_t word = tile * TILE + first;
                NAMED(score)(x, words + tile * TILE * n_channels + first, start + word, n_channels, score);
                for (int j = 0; j < FRAMES && f + j < n; j++)
                    for (int v = 0; v < VECTORS; v++)
                        NAMED(keep)(score[j][v], (int32_t)word + LANES * v + lanes, &best[f + j],
                                    &chosen[f + j]);
            }
        }
    for (Py_ssize_t f = 0; f < n; f++) {
        int winner = 0;
        for (int lane = 1; lane < LANES; lane++)
            if (best[f][lane] > best[f][winner] ||
                (best[f][lane] == best[f][winner] && chosen[f][lane] < chosen[f][winner]))
                winner = lane;
        nearest[f] = chosen[f][winner];
    }
}

TARGET static void NAMED(nearest_words)(
    const float *words, const float *start, Py_ssize_t n_tiles, const float *frames, Py_ssize_t n_channels,
    int32_t *nearest, Py_ssize_t begin, Py_ssize_t end)
{
    for (Py_ssize_t f = begin; f < end; f += GROUP)
        NAMED(group)(words, start, n_tiles, frames + f * n_channels, n_channels, end - f < GROUP ? end - f : GROUP,
                     nearest + f);
}
