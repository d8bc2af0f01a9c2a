/* Where relevant songs stand among all songs; the counting is in _places_rows.h, the readable twin in places.py.
 *
 * count_places(scores, start, song, place, rank, greater, equal, begin, end, instructions) fills the pairs of
 * rows[begin:end] and returns the first of these rows with a score that is not finite, or -1.
 *
 * copies_before(scores, start, t, own, place, copies, before, begin, end, instructions) fills the boundaries of
 * rows[begin:end].
 */
#include "_native.h"

enum {
    AT_ONCE = 4, /* relevant songs of a user counted in one walk over the scores */
    TILE = 2048, /* songs whose copies are added for all rows before the next songs */
};

/* A comparison gives -1 where it holds. `how` is for AVX-512 alone. */
#define COUNT_WHERE(n, v, sign, t, how) ((n) -= (v)sign(t))

#define TARGET
#define NAMED(x) x##_plain
#define LANES 4
#include "_places_rows.h"
#undef TARGET
#undef NAMED
#undef LANES

#if HAS_SETS
#define TARGET TARGET_AVX2
#define NAMED(x) x##_avx2
#define LANES 8
#include "_places_rows.h"
#undef TARGET
#undef NAMED
#undef LANES
/* AVX-512 compares into a mask; GCC makes a vector of it first unless told, and a quarter of the time is lost. */
#include <immintrin.h>
#undef COUNT_WHERE
#define COUNT_WHERE(n, v, sign, t, how)                                                                                \
    ((n) = (NAMED(counts))_mm512_mask_sub_epi32(                                                                       \
         (__m512i)(n), _mm512_cmp_ps_mask((__m512)(v), _mm512_set1_ps(t), how), (__m512i)(n), _mm512_set1_epi32(-1)))
#define TARGET TARGET_AVX512
#define NAMED(x) x##_avx512
#define LANES 16
#include "_places_rows.h"
#undef TARGET
#undef NAMED
#undef LANES
#endif

static Py_ssize_t count(
    enum instructions set, const float *scores, Py_ssize_t n_songs, const int64_t *start, const int32_t *song,
    const int32_t *place, int64_t *rank, int64_t *greater, int64_t *equal, Py_ssize_t begin, Py_ssize_t end)
{
#if HAS_SETS
    if (set == AVX512)
        return count_places_avx512(scores, n_songs, start, song, place, rank, greater, equal, begin, end);
    if (set == AVX2)
        return count_places_avx2(scores, n_songs, start, song, place, rank, greater, equal, begin, end);
#endif
    (void)set;
    return count_places_plain(scores, n_songs, start, song, place, rank, greater, equal, begin, end);
}

static void sum_copies(
    enum instructions set, const float *scores, Py_ssize_t n_songs, const int64_t *start, const float *t,
    const int32_t *own, const int32_t *place, const uint8_t *copies, Py_ssize_t n_draws, int32_t *before,
    Py_ssize_t begin, Py_ssize_t end)
{
#if HAS_SETS
    if (set == AVX512) {
        copies_before_avx512(scores, n_songs, start, t, own, place, copies, n_draws, before, begin, end);
        return;
    }
    if (set == AVX2) {
        copies_before_avx2(scores, n_songs, start, t, own, place, copies, n_draws, before, begin, end);
        return;
    }
#endif
    (void)set;
    copies_before_plain(scores, n_songs, start, t, own, place, copies, n_draws, before, begin, end);
}

/* Layouts of seven arrays, checked: places.py has the messages for people, this only keeps memory safe. */
static const char *check_layout(const Py_buffer *b, const Py_ssize_t *sizes, const int *dims)
{
    for (int i = 0; i < 7; i++)
        if (b[i].itemsize != sizes[i] || b[i].ndim != dims[i])
            return "an array has the wrong type or number of axes";
    return NULL;
}

static const char *check_rows(
    const Py_buffer *start, Py_ssize_t n_rows, Py_ssize_t n_pairs, Py_ssize_t begin, Py_ssize_t end)
{
    const int64_t *s = start->buf;
    if (start->shape[0] != n_rows + 1)
        return "start does not fit the scores";
    if (begin < 0 || end < begin || end > n_rows)
        return "begin and end are not rows";
    if (s[begin] < 0)
        return "start does not ascend within the pairs";
    for (Py_ssize_t row = begin; row < end; row++)
        if (s[row + 1] < s[row] || s[row + 1] > n_pairs)
            return "start does not ascend within the pairs";
    return s[begin] > n_pairs ? "start does not ascend within the pairs" : NULL;
}

static const char *check_places(const Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const Py_ssize_t sizes[] = {4, 8, 4, 4, 8, 8, 8};
    static const int dims[] = {2, 1, 1, 1, 1, 1, 1};
    const char *wrong = check_layout(b, sizes, dims);
    if (wrong)
        return wrong;
    const Py_ssize_t n_songs = b[0].shape[1], n_pairs = b[2].shape[0];
    if (b[3].shape[0] != n_songs || n_songs > INT32_MAX)
        return "place does not fit the songs";
    for (int i = 4; i < 7; i++)
        if (b[i].shape[0] != n_pairs)
            return "rank, greater and equal need room for every pair";
    if ((wrong = check_rows(&b[1], b[0].shape[0], n_pairs, begin, end)))
        return wrong;
    const int64_t *start = b[1].buf;
    const int32_t *song = b[2].buf;
    for (int64_t i = start[begin]; i < start[end]; i++)
        if (song[i] < 0 || song[i] >= n_songs)
            return "a pair points outside the songs";
    return NULL;
}

static const char *check_copies(const Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const Py_ssize_t sizes[] = {4, 8, 4, 4, 4, 1, 4};
    static const int dims[] = {2, 1, 1, 1, 1, 2, 2};
    const char *wrong = check_layout(b, sizes, dims);
    if (wrong)
        return wrong;
    const Py_ssize_t n_songs = b[0].shape[1], n_boundaries = b[2].shape[0];
    if (b[4].shape[0] != n_songs || b[5].shape[0] != n_songs || b[3].shape[0] != n_boundaries)
        return "place, copies or boundaries do not fit each other";
    if (b[6].shape[0] != n_boundaries || b[6].shape[1] != b[5].shape[1])
        return "before needs room for every boundary and replicate";
    return check_rows(&b[1], b[0].shape[0], n_boundaries, begin, end);
}

/* What both functions share: seven arrays, of which those from `first_written` on are written to, two rows and a set
 * of instructions. Returns how many buffers are held: seven, or fewer with an error set. */
static int read_arguments(
    PyObject *args, Py_buffer *b, int first_written, Py_ssize_t *begin, Py_ssize_t *end, int *set)
{
    PyObject *arrays[7];
    int n_held = 0;
    if (!PyArg_ParseTuple(args, "OOOOOOOnni", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4], &arrays[5],
                          &arrays[6], begin, end, set))
        return 0;
    for (; n_held < 7; n_held++)
        if (PyObject_GetBuffer(arrays[n_held], &b[n_held],
                               PyBUF_C_CONTIGUOUS | (n_held >= first_written ? PyBUF_WRITABLE : 0)))
            break;
    return n_held;
}

static int refuse(const char *wrong, int set)
{
    if (!wrong && (set < PLAIN || set > (int)best_instructions()))
        wrong = "this processor lacks these instructions";
    if (wrong)
        PyErr_SetString(PyExc_ValueError, wrong);
    return wrong != NULL;
}

static PyObject *py_count_places(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer b[7];
    Py_ssize_t begin, end, odd;
    int set;
    PyObject *answer = NULL;
    int n_held = read_arguments(args, b, 4, &begin, &end, &set);
    if (n_held == 7 && !refuse(check_places(b, begin, end), set)) {
        Py_BEGIN_ALLOW_THREADS
        odd = count((enum instructions)set, b[0].buf, b[0].shape[1], b[1].buf, b[2].buf, b[3].buf, b[4].buf, b[5].buf,
                    b[6].buf, begin, end);
        Py_END_ALLOW_THREADS
        answer = PyLong_FromSsize_t(odd);
    }
    while (n_held > 0)
        PyBuffer_Release(&b[--n_held]);
    return answer;
}

static PyObject *py_copies_before(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer b[7];
    Py_ssize_t begin, end;
    int set;
    PyObject *answer = NULL;
    int n_held = read_arguments(args, b, 6, &begin, &end, &set);
    if (n_held == 7 && !refuse(check_copies(b, begin, end), set)) {
        Py_BEGIN_ALLOW_THREADS
        sum_copies((enum instructions)set, b[0].buf, b[0].shape[1], b[1].buf, b[2].buf, b[3].buf, b[4].buf, b[5].buf,
                   b[5].shape[1], b[6].buf, begin, end);
        Py_END_ALLOW_THREADS
        answer = Py_NewRef(Py_None);
    }
    while (n_held > 0)
        PyBuffer_Release(&b[--n_held]);
    return answer;
}

static PyMethodDef methods[] = {
    {"count_places", py_count_places, METH_VARARGS,
     "count_places(scores, start, song, place, rank, greater, equal, begin, end, instructions): fill rows[begin:end]."},
    {"copies_before", py_copies_before, METH_VARARGS,
     "copies_before(scores, start, t, own, place, copies, before, begin, end, instructions): fill rows[begin:end]."},
    INSTRUCTIONS,
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_places", "The fast loop of places.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__places(void) { return PyModule_Create(&module); }
