/* Weighted matrix factorisation, the loop over rows; the maths is in _als_rows.h, the readable twin in als.py.
 *
 * solve_rows(start, other, surplus, fixed, rows, loss, begin, end, n_steps) improves rows[begin:end] in place.
 */
#include "_native.h"
#include <float.h>

struct scratch {
    void *memory;
    wide *residual, *direction, *product; /* n_wide each */
    float *z, *d;                         /* a number for each play of a row, and room for a fourth */
};

#define TARGET
#define NAMED(x) x##_plain
#include "_als_rows.h"
#undef TARGET
#undef NAMED

#if HAS_SETS
#define TARGET TARGET_AVX2
#define NAMED(x) x##_avx2
#include "_als_rows.h"
#undef TARGET
#undef NAMED
#define TARGET TARGET_AVX512
#define NAMED(x) x##_avx512
#include "_als_rows.h"
#undef TARGET
#undef NAMED
#endif

static void solve(
    enum instructions set, const int64_t *start, const int32_t *other, const float *surplus, const wide *fixed,
    Py_ssize_t n_wide, wide *rows, double *loss, Py_ssize_t begin, Py_ssize_t end, int n_steps, struct scratch s)
{
#if HAS_SETS
    if (set == AVX512) {
        solve_rows_avx512(start, other, surplus, fixed, n_wide, rows, loss, begin, end, n_steps, s);
        return;
    }
    if (set == AVX2) {
        solve_rows_avx2(start, other, surplus, fixed, n_wide, rows, loss, begin, end, n_steps, s);
        return;
    }
#endif
    (void)set;
    solve_rows_plain(start, other, surplus, fixed, n_wide, rows, loss, begin, end, n_steps, s);
}

/* The layout of six arrays, checked: als.py has the messages for people, this only keeps memory safe. */
static const char *check(Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const Py_ssize_t sizes[] = {8, 4, 4, 4, 4, 8};
    static const int dims[] = {1, 1, 1, 2, 2, 1};
    for (int i = 0; i < 6; i++)
        if (b[i].itemsize != sizes[i] || b[i].ndim != dims[i])
            return "solve_rows: an array has the wrong type or number of axes";
    const int64_t *start = b[0].buf;
    const int32_t *other = b[1].buf;
    const Py_ssize_t n_rows = b[4].shape[0], n_plays = b[1].shape[0];
    if (b[0].shape[0] != n_rows + 1 || b[5].shape[0] != n_rows || b[2].shape[0] != n_plays)
        return "solve_rows: lengths do not fit each other";
    if (b[3].shape[1] != b[4].shape[1] || b[4].shape[1] % 16)
        return "solve_rows: rows must be equally wide, a multiple of 16";
    if (begin < 0 || end < begin || end > n_rows)
        return "solve_rows: begin and end are not rows";
    for (Py_ssize_t row = begin; row < end; row++)
        if (start[row] < 0 || start[row + 1] < start[row] || start[row + 1] > n_plays)
            return "solve_rows: start does not ascend within the plays";
    for (Py_ssize_t i = begin < end ? (Py_ssize_t)start[begin] : 0; begin < end && i < start[end]; i++)
        if (other[i] < 0 || other[i] >= b[3].shape[0])
            return "solve_rows: a play points outside the fixed rows";
    return NULL;
}

static int make_scratch(const int64_t *start, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t n_wide, struct scratch *s)
{
    int64_t longest = 0;
    for (Py_ssize_t row = begin; row < end; row++)
        if (start[row + 1] - start[row] > longest)
            longest = start[row + 1] - start[row];
    const size_t room = ((size_t)longest + 19) / 16; /* of wide, for one number a play and a fourth */
    s->memory = PyMem_Malloc(sizeof(wide) * (3 * (size_t)n_wide + 2 * room + 1));
    if (!s->memory)
        return 0;
    wide *all = (wide *)(((uintptr_t)s->memory + 63) & ~(uintptr_t)63);
    s->residual = all;
    s->direction = all + n_wide;
    s->product = all + 2 * n_wide;
    s->z = (float *)(all + 3 * n_wide);
    s->d = (float *)(all + 3 * n_wide + room);
    return 1;
}

static PyObject *py_solve_rows(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *arrays[6];
    Py_buffer b[6];
    Py_ssize_t begin, end;
    int n_steps, set, n_held = 0;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOOnnii", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4], &arrays[5],
                          &begin, &end, &n_steps, &set))
        return NULL;
    for (; n_held < 6; n_held++)
        if (PyObject_GetBuffer(arrays[n_held], &b[n_held], PyBUF_C_CONTIGUOUS | (n_held >= 4 ? PyBUF_WRITABLE : 0)))
            goto done;
    const char *wrong = check(b, begin, end);
    if (wrong || set < PLAIN || set > (int)best_instructions()) {
        PyErr_SetString(PyExc_ValueError, wrong ? wrong : "solve_rows: this processor lacks these instructions");
        goto done;
    }
    const Py_ssize_t n_wide = b[4].shape[1] / 16;
    struct scratch s;
    if (!make_scratch(b[0].buf, begin, end, n_wide, &s)) {
        PyErr_NoMemory();
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    solve((enum instructions)set, b[0].buf, b[1].buf, b[2].buf, b[3].buf, n_wide, b[4].buf, b[5].buf, begin, end,
          n_steps, s);
    Py_END_ALLOW_THREADS
    PyMem_Free(s.memory);
    answer = Py_NewRef(Py_None);
done:
    while (n_held > 0)
        PyBuffer_Release(&b[--n_held]);
    return answer;
}

static PyMethodDef methods[] = {
    {"solve_rows", py_solve_rows, METH_VARARGS,
     "solve_rows(start, other, surplus, fixed, rows, loss, begin, end, n_steps, instructions): improve rows[begin:end]."},
    INSTRUCTIONS,
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_als", "The fast loop of als.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__als(void) { return PyModule_Create(&module); }
