/* The places of one user's relevant songs, for one instruction set (_sets.h). Vectors are one register wide: wider ones
 * would not stay in registers.
 *
 * No sorting: the place of a song is how many songs score more. A row of scores is walked over once for every four
 * relevant songs, each score compared with all four. Each walk also multiplies the scores by zero and sums: the sum is
 * 0 unless a score is not finite.
 */
#undef COUNT_WHERE /* adds 1 to the lanes of n where v > t, or v == t; `how` says it again for AVX-512 */
#if HAS_SETS && LANES == 16
/* AVX-512 compares into a mask; GCC makes a vector of it first unless told, and a quarter of the time is lost. */
#define COUNT_WHERE(n, v, sign, t, how)                                                                                \
    ((n) = (NAMED(counts))_mm512_mask_sub_epi32(                                                                       \
         (__m512i)(n), _mm512_cmp_ps_mask((__m512)(v), _mm512_set1_ps(t), how), (__m512i)(n), _mm512_set1_epi32(-1)))
#else
#define COUNT_WHERE(n, v, sign, t, how) ((n) -= (v)sign(t)) /* a comparison gives -1 where it holds */
#endif
typedef float NAMED(scores) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t NAMED(counts) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

TARGET static inline __attribute__((always_inline)) int64_t NAMED(total)(const NAMED(counts) *v)
{
    int32_t part[LANES];
    int64_t sum = 0;
    memcpy(part, v, sizeof part);
    for (int k = 0; k < LANES; k++)
        sum += part[k];
    return sum;
}

/* How many of the scores are greater than t[j], and how many equal it, for j < k; k is a constant wherever this is
 * called, so the loops over j unroll and the counts stay in registers. Returns 0 unless a score is not finite. */
TARGET static inline __attribute__((always_inline)) float NAMED(compare)(
    const float *line, Py_ssize_t n_songs, const float *t, const int k, int64_t *greater, int64_t *equal)
{
    NAMED(counts) above[AT_ONCE] = {0}, same[AT_ONCE] = {0};
    NAMED(scores) zeros = {0};
    Py_ssize_t i = 0;
    for (; i + LANES <= n_songs; i += LANES) {
        const NAMED(scores) v = *(const NAMED(scores) *)(line + i);
        zeros += v * 0.0f;
        for (int j = 0; j < k; j++) {
            COUNT_WHERE(above[j], v, >, t[j], _CMP_GT_OQ);
            COUNT_WHERE(same[j], v, ==, t[j], _CMP_EQ_OQ);
        }
    }
    float odd = 0;
    for (int j = 0; j < LANES; j++)
        odd += zeros[j];
    for (int j = 0; j < k; j++) {
        greater[j] = NAMED(total)(&above[j]);
        equal[j] = NAMED(total)(&same[j]);
    }
    for (; i < n_songs; i++) {
        odd += line[i] * 0.0f;
        for (int j = 0; j < k; j++) {
            greater[j] += line[i] > t[j];
            equal[j] += line[i] == t[j];
        }
    }
    return odd;
}

/* How many scores equal t and stand before `own` in the order of ties. */
TARGET static int64_t NAMED(tied_before)(
    const float *line, const int32_t *place, Py_ssize_t n_songs, float t, int32_t own)
{
    NAMED(counts) before = {0};
    Py_ssize_t i = 0;
    for (; i + LANES <= n_songs; i += LANES)
        before -= (*(const NAMED(scores) *)(line + i) == t) & (*(const NAMED(counts) *)(place + i) < own);
    int64_t n = NAMED(total)(&before);
    for (; i < n_songs; i++)
        n += (line[i] == t) & (place[i] < own);
    return n;
}

/* Rows begin to end. Returns the first row with a score that is not finite, or -1; the rows after it are not counted. */
TARGET static Py_ssize_t NAMED(count_places)(
    const float *scores, Py_ssize_t n_songs, const int64_t *start, const int32_t *song, const int32_t *place,
    int64_t *rank, int64_t *greater, int64_t *equal, Py_ssize_t begin, Py_ssize_t end)
{
    for (Py_ssize_t row = begin; row < end; row++) {
        const float *line = scores + row * n_songs;
        for (int64_t i = start[row]; i == start[row] || i < start[row + 1]; i += AT_ONCE) {
            const int64_t left = start[row + 1] - i;
            float t[AT_ONCE] = {0}, odd;
            for (int j = 0; j < AT_ONCE && j < left; j++)
                t[j] = line[song[i + j]];
            switch (left < AT_ONCE ? left : AT_ONCE) {
            case 0: /* nothing to count: only whether all are finite */
                odd = NAMED(compare)(line, n_songs, t, 0, NULL, NULL);
                break;
            case 1:
                odd = NAMED(compare)(line, n_songs, t, 1, greater + i, equal + i);
                break;
            case 2:
                odd = NAMED(compare)(line, n_songs, t, 2, greater + i, equal + i);
                break;
            case 3:
                odd = NAMED(compare)(line, n_songs, t, 3, greater + i, equal + i);
                break;
            default:
                odd = NAMED(compare)(line, n_songs, t, AT_ONCE, greater + i, equal + i);
            }
            if (odd != 0.0f)
                return row;
        }
        for (int64_t i = start[row]; i < start[row + 1]; i++) {
            rank[i] = greater[i];
            if (equal[i] > 1)
                rank[i] += NAMED(tied_before)(line, place, n_songs, line[song[i]], place[song[i]]);
        }
    }
    return -1;
}

/* before[k][d] = how many copies of songs stand before boundary k in replicate d, for the boundaries of each row.
 *
 * A boundary is a place in the strict order, (t, own): a song stands before it when its score is greater than t, or
 * equal and its place lower than own. The boundaries of a row stand best first, so a song stands before all of them
 * from some k on: its copies are added once, at k, and summed down the boundaries at the end. The songs are taken
 * TILE at a time for all rows, so that their copies stay in the nearest cache but one.
 */
TARGET static void NAMED(copies_before)(
    const float *scores, Py_ssize_t n_songs, const int64_t *start, const float *t, const int32_t *own,
    const int32_t *place, const uint8_t *copies, Py_ssize_t n_draws, int32_t *before, Py_ssize_t begin, Py_ssize_t end)
{
    int32_t at[TILE];
    memset(before + start[begin] * n_draws, 0, sizeof *before * (size_t)((start[end] - start[begin]) * n_draws));
    for (Py_ssize_t first = 0; first < n_songs; first += TILE) {
        const Py_ssize_t n = n_songs - first < TILE ? n_songs - first : TILE;
        for (Py_ssize_t row = begin; row < end; row++) {
            const float *line = scores + row * n_songs + first;
            const int32_t n_boundaries = (int32_t)(start[row + 1] - start[row]);
            if (n_boundaries == 0)
                continue;
            memset(at, 0, sizeof at);
            for (int64_t k = start[row]; k < start[row + 1]; k++)
                for (Py_ssize_t i = 0; i < n; i++)
                    at[i] += !((line[i] > t[k]) | ((line[i] == t[k]) & (place[first + i] < own[k])));
            for (Py_ssize_t i = 0; i < n; i++) {
                if (at[i] == n_boundaries)
                    continue;
                int32_t *sum = before + (start[row] + at[i]) * n_draws;
                const uint8_t *copy = copies + (first + i) * n_draws;
                for (Py_ssize_t d = 0; d < n_draws; d++)
                    sum[d] += copy[d];
            }
        }
    }
    for (Py_ssize_t row = begin; row < end; row++)
        for (int64_t k = start[row] + 1; k < start[row + 1]; k++)
            for (Py_ssize_t d = 0; d < n_draws; d++)
                before[k * n_draws + d] += before[(k - 1) * n_draws + d];
}
