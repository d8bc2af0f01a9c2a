/* The nearest word of each frame; the maths is in _words_rows.h, the readable twin in words.py.
 *
 * nearest_words(words, start, frames, nearest, begin, end, instructions) fills nearest[begin:end].
 *   words    float32 [n_tiles, n_channels, 64]: channel by channel within a tile of 64 words
 *   start    float32 [n_tiles, 64]: -|w|^2/2, and -inf where the last tile holds no word
 *   frames   float32 [n_frames, n_channels]
 *   nearest  int32 [n_frames]
 */
#include "_native.h"
#include <math.h>

typedef float quarter __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t wide_counts __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t half_counts __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t quarter_counts __attribute__((vector_size(16), aligned(4), may_alias));

#define TILE 64
#define GROUP 96 /* frames that stay in the nearest cache: 15 KB at 39 channels, and 12 KB of best words */

#define TARGET
#define NAMED(x) x##_plain
#define VECTOR quarter
#define COUNTS quarter_counts
#define LANES 4
#define FRAMES 4
#define VECTORS 2
#include "_words_rows.h"
#undef TARGET
#undef NAMED
#undef VECTOR
#undef COUNTS
#undef LANES
#undef FRAMES
#undef VECTORS

#if HAS_SETS
#define TARGET TARGET_AVX2
#define NAMED(x) x##_avx2
#define VECTOR half
#define COUNTS half_counts
#define LANES 8
#define FRAMES 6
#define VECTORS 2
#include "_words_rows.h"
#undef TARGET
#undef NAMED
#undef VECTOR
#undef COUNTS
#undef LANES
#undef FRAMES
#undef VECTORS
#define TARGET TARGET_AVX512
#define NAMED(x) x##_avx512
#define VECTOR wide
#define COUNTS wide_counts
#define LANES 16
#define FRAMES 6
#define VECTORS 4
#include "_words_rows.h"
#undef TARGET
#undef NAMED
#undef VECTOR
#undef COUNTS
#undef LANES
#undef FRAMES
#undef VECTORS
#endif

static void find(
    enum instructions set, const float *words, const float *start, Py_ssize_t n_tiles, const float *frames,
    Py_ssize_t n_channels, int32_t *nearest, Py_ssize_t begin, Py_ssize_t end)
{
#if HAS_SETS
    if (set == AVX512) {
        nearest_words_avx512(words, start, n_tiles, frames, n_channels, nearest, begin, end);
        return;
    }
    if (set == AVX2) {
        nearest_words_avx2(words, start, n_tiles, frames, n_channels, nearest, begin, end);
        return;
    }
#endif
    (void)set;
    nearest_words_plain(words, start, n_tiles, frames, n_channels, nearest, begin, end);
}

/* The layout of four arrays, checked: words.py has the messages for people, this only keeps memory safe. */
static const char *check(Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const int dims[] = {3, 2, 2, 1};
    for (int i = 0; i < 4; i++)
        if (b[i].itemsize != 4 || b[i].ndim != dims[i])
            return "nearest_words: an array has the wrong type or number of axes";
    if (b[0].shape[2] != TILE || b[1].shape[1] != TILE || b[1].shape[0] != b[0].shape[0])
        return "nearest_words: words must come in tiles of 64";
    if (b[2].shape[1] != b[0].shape[1] || b[3].shape[0] != b[2].shape[0])
        return "nearest_words: lengths do not fit each other";
    if (begin < 0 || end < begin || end > b[2].shape[0])
        return "nearest_words: begin and end are not frames";
    if (b[0].shape[0] > INT32_MAX / TILE)
        return "nearest_words: more words than an int32 counts";
    return NULL;
}

static PyObject *py_nearest_words(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *arrays[4];
    Py_buffer b[4];
    Py_ssize_t begin, end;
    int set, n_held = 0;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "OOOOnni", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &begin, &end, &set))
        return NULL;
    for (; n_held < 4; n_held++)
        if (PyObject_GetBuffer(arrays[n_held], &b[n_held], PyBUF_C_CONTIGUOUS | (n_held == 3 ? PyBUF_WRITABLE : 0)))
            goto done;
    const char *wrong = check(b, begin, end);
    if (wrong || set < PLAIN || set > (int)best_instructions()) {
        PyErr_SetString(PyExc_ValueError, wrong ? wrong : "nearest_words: this processor lacks these instructions");
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    find((enum instructions)set, b[0].buf, b[1].buf, b[0].shape[0], b[2].buf, b[2].shape[1], b[3].buf, begin, end);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    while (n_held > 0)
        PyBuffer_Release(&b[--n_held]);
    return answer;
}

static PyMethodDef methods[] = {
    {"nearest_words", py_nearest_words, METH_VARARGS,
     "nearest_words(words, start, frames, nearest, begin, end, instructions): fill nearest[begin:end]."},
    INSTRUCTIONS,
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_words", "The fast loop of words.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__words(void) { return PyModule_Create(&module); }
