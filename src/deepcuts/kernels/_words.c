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

#define TILE 64
#define GROUP 96 /* frames that stay in the nearest cache: 15 KB at 39 channels, and 12 KB of best words */

/* How many frames, and registers of words, are scored together: their FRAMES * VECTORS sums, VECTORS of words and one
 * number of a frame must fit the registers of the set. */
#define FRAMES (LANES == 4 ? 4 : 6)
#define VECTORS (LANES == 16 ? 4 : 2)
#define VECTOR NAMED(vector)
#define COUNTS NAMED(counts)
#define LOOP "_words_rows.h"
#include "_sets.h"

/* The layout of four arrays, checked: words.py has the messages for people, this only keeps memory safe. */
static const char *check(Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const int dims[] = {3, 2, 2, 1};
    for (int i = 0; i < 4; i++)
        if (b[i].itemsize != 4 || b[i].ndim != dims[i])
            return "an array has the wrong type or number of axes";
    if (b[0].shape[2] != TILE || b[1].shape[1] != TILE || b[1].shape[0] != b[0].shape[0])
        return "words must come in tiles of 64";
    if (b[2].shape[1] != b[0].shape[1] || b[3].shape[0] != b[2].shape[0])
        return "lengths do not fit each other";
    if (begin < 0 || end < begin || end > b[2].shape[0])
        return "begin and end are not frames";
    if (b[0].shape[0] > INT32_MAX / TILE)
        return "more words than an int32 counts";
    return NULL;
}

static PyObject *py_nearest_words(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *arrays[4];
    Py_buffer b[4];
    Py_ssize_t begin, end;
    int set;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "OOOOnni", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &begin, &end, &set))
        return NULL;
    const int n_held = hold(arrays, b, 4, 1u << 3);
    if (n_held < 4 || refuse("nearest_words", check(b, begin, end), set))
        goto done;
    Py_BEGIN_ALLOW_THREADS
    RUN(set, nearest_words, b[0].buf, b[1].buf, b[0].shape[0], b[2].buf, b[2].shape[1], b[3].buf, begin, end);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    release(b, n_held);
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
