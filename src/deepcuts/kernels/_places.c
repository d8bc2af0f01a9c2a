/* Where relevant songs stand among all songs; the counting is in _places_rows.h, the readable twin in places.py.
 *
 * count_places(scores, start, song, place, rank, greater, equal, begin, end, instructions) fills the pairs of
 * rows[begin:end] and returns the first of these rows with a score that is not finite, or -1.
 *
 * copies_before(scores, start, t, own, place, copies, before, begin, end, instructions) fills the boundaries of
 * rows[begin:end].
 */
#include "_native.h"
#if HAS_SETS
#include <immintrin.h>
#endif

enum {
    AT_ONCE = 4, /* relevant songs of a user counted in one walk over the scores */
    TILE = 2048, /* songs whose copies are added for all rows before the next songs */
};

#define LOOP "_places_rows.h"
#include "_sets.h"

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

/* What both functions share: seven arrays, of which some are `written` to, two rows and a set
 * of instructions. Returns how many buffers are held: seven, or fewer with an error set. */
static int read_arguments(
    PyObject *args, Py_buffer *b, unsigned written, Py_ssize_t *begin, Py_ssize_t *end, int *set)
{
    PyObject *arrays[7];
    if (!PyArg_ParseTuple(args, "OOOOOOOnni", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4], &arrays[5],
                          &arrays[6], begin, end, set))
        return 0;
    return hold(arrays, b, 7, written);
}

static PyObject *py_count_places(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer b[7];
    Py_ssize_t begin, end, odd;
    int set;
    PyObject *answer = NULL;
    int n_held = read_arguments(args, b, 1u << 4 | 1u << 5 | 1u << 6, &begin, &end, &set);
    if (n_held == 7 && !refuse("count_places", check_places(b, begin, end), set)) {
        Py_BEGIN_ALLOW_THREADS
        odd = RUN(set, count_places, b[0].buf, b[0].shape[1], b[1].buf, b[2].buf, b[3].buf, b[4].buf, b[5].buf,
                    b[6].buf, begin, end);
        Py_END_ALLOW_THREADS
        answer = PyLong_FromSsize_t(odd);
    }
    release(b, n_held);
    return answer;
}

static PyObject *py_copies_before(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer b[7];
    Py_ssize_t begin, end;
    int set;
    PyObject *answer = NULL;
    int n_held = read_arguments(args, b, 1u << 6, &begin, &end, &set);
    if (n_held == 7 && !refuse("copies_before", check_copies(b, begin, end), set)) {
        Py_BEGIN_ALLOW_THREADS
        RUN(set, copies_before, b[0].buf, b[0].shape[1], b[1].buf, b[2].buf, b[3].buf, b[4].buf, b[5].buf,
                   b[5].shape[1], b[6].buf, begin, end);
        Py_END_ALLOW_THREADS
        answer = Py_NewRef(Py_None);
    }
    release(b, n_held);
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
