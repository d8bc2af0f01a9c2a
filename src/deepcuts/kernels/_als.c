/* Weighted matrix factorisation, the loop over rows; the maths is in _als_rows.h, the readable twin in als.py.
 *
 * solve_rows(start, other, surplus, fixed, rows, loss, begin, end, n_steps) improves rows[begin:end] in place.
 * solve_systems(routine, matrices, rights) calls a routine of LAPACK on many small systems; twin in exact.py.
 */
#include "_native.h"
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

struct scratch {
    void *memory;
    wide *residual, *direction, *product; /* n_wide each */
    float *z, *d;                         /* a number for each play of a row, and room for a fourth */
};

#define LOOP "_als_rows.h"
#include "_sets.h"

/* The layout of six arrays, checked: als.py has the messages for people, this only keeps memory safe. */
static const char *check(Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const Py_ssize_t sizes[] = {8, 4, 4, 4, 4, 8};
    static const int dims[] = {1, 1, 1, 2, 2, 1};
    for (int i = 0; i < 6; i++)
        if (b[i].itemsize != sizes[i] || b[i].ndim != dims[i])
            return "an array has the wrong type or number of axes";
    const int64_t *start = b[0].buf;
    const int32_t *other = b[1].buf;
    const Py_ssize_t n_rows = b[4].shape[0], n_plays = b[1].shape[0];
    if (b[0].shape[0] != n_rows + 1 || b[5].shape[0] != n_rows || b[2].shape[0] != n_plays)
        return "lengths do not fit each other";
    if (b[3].shape[1] != b[4].shape[1] || b[4].shape[1] % 16)
        return "rows must be equally wide, a multiple of 16";
    if (begin < 0 || end < begin || end > n_rows)
        return "begin and end are not rows";
    for (Py_ssize_t row = begin; row < end; row++)
        if (start[row] < 0 || start[row + 1] < start[row] || start[row + 1] > n_plays)
            return "start does not ascend within the plays";
    for (Py_ssize_t i = begin < end ? (Py_ssize_t)start[begin] : 0; begin < end && i < start[end]; i++)
        if (other[i] < 0 || other[i] >= b[3].shape[0])
            return "a play points outside the fixed rows";
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
    int n_steps, set;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOOnnii", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4], &arrays[5],
                          &begin, &end, &n_steps, &set))
        return NULL;
    const int n_held = hold(arrays, b, 6, 1u << 4 | 1u << 5);
    if (n_held < 6 || refuse("solve_rows", check(b, begin, end), set))
        goto done;
    const Py_ssize_t n_wide = b[4].shape[1] / 16;
    struct scratch s;
    if (!make_scratch(b[0].buf, begin, end, n_wide, &s)) {
        PyErr_NoMemory();
        goto done;
    }
    Py_BEGIN_ALLOW_THREADS
    RUN(set, solve_rows, b[0].buf, b[1].buf, b[2].buf, b[3].buf, n_wide, b[4].buf, b[5].buf, begin, end, n_steps, s);
    Py_END_ALLOW_THREADS
    PyMem_Free(s.memory);
    answer = Py_NewRef(Py_None);
done:
    release(b, n_held);
    return answer;
}

/* ?posv and ?potrs: uplo, n, nrhs, a, lda, b, ldb, info. Called through SciPy's own pointers (cython_lapack), because
 * its Python functions keep Python's lock. The name of such a capsule is the signature in C. */
typedef void lapack_routine(char *, int *, int *, void *, int *, void *, int *, int *);

static lapack_routine *routine_of(PyObject *capsule, Py_ssize_t itemsize)
{
    const char *name = PyCapsule_CheckExact(capsule) ? PyCapsule_GetName(capsule) : NULL;
    const char type = itemsize == 8 ? 'd' : 's';
    char numbers[64], expected[200];
    snprintf(numbers, sizeof numbers, "__pyx_t_5scipy_6linalg_13cython_lapack_%c *", type);
    snprintf(expected, sizeof expected, "void (char *, int *, int *, %s, int *, %s, int *, int *)", numbers, numbers);
    if (!name || strcmp(name, expected))
        return NULL;
    return (lapack_routine *)(uintptr_t)PyCapsule_GetPointer(capsule, name);
}

static void solve_systems(lapack_routine *routine, char *matrix, char *right, Py_ssize_t n_systems, int n, size_t size)
{
    char lower = 'L';
    int one = 1, info;
    for (Py_ssize_t i = 0; i < n_systems; i++, matrix += (size_t)n * n * size, right += n * size) {
        routine(&lower, &n, &one, matrix, &n, right, &n, &info);
        for (int k = 0; info && k < n; k++) /* not solved: shows in the row */
            if (size == 8)
                ((double *)right)[k] = NAN;
            else
                ((float *)right)[k] = NAN;
    }
}

static PyObject *py_solve_systems(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *arrays[2], *answer = NULL;
    Py_buffer b[2];
    if (!PyArg_ParseTuple(args, "OOO", &capsule, &arrays[0], &arrays[1]))
        return NULL;
    const int n_held = hold(arrays, b, 2, 1u << 0 | 1u << 1);
    if (n_held < 2)
        goto done;
    const Py_ssize_t size = b[0].itemsize;
    if ((size != 4 && size != 8) || b[1].itemsize != size || b[0].ndim != 3 || b[1].ndim != 3 ||
        b[0].shape[1] != b[0].shape[2] || b[1].shape[0] != b[0].shape[0] || b[1].shape[1] != b[0].shape[1] ||
        b[1].shape[2] != 1 || b[0].shape[1] < 1 || b[0].shape[1] > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "solve_systems: matrices [n, k, k] and rights [n, k, 1] do not fit");
        goto done;
    }
    lapack_routine *routine = routine_of(capsule, size);
    if (routine) {
        Py_BEGIN_ALLOW_THREADS
        solve_systems(routine, b[0].buf, b[1].buf, b[0].shape[0], (int)b[0].shape[1], (size_t)size);
        Py_END_ALLOW_THREADS
    }
    answer = Py_NewRef(routine ? Py_True : Py_False);
done:
    release(b, n_held);
    return answer;
}

static PyMethodDef methods[] = {
    {"solve_rows", py_solve_rows, METH_VARARGS,
     "solve_rows(start, other, surplus, fixed, rows, loss, begin, end, n_steps, instructions): improve rows[begin:end]."},
    {"solve_systems", py_solve_systems, METH_VARARGS,
     "solve_systems(routine, matrices, rights): ?posv or ?potrs of cython_lapack on every system, in place.\n"
     "False, and nothing done, when the routine is not one of these for such numbers."},
    INSTRUCTIONS,
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_als", "The fast loop of als.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__als(void) { return PyModule_Create(&module); }
