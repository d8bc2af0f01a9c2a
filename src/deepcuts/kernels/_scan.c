/* Which rows may be among the k best for a query, the loop over rounded rows; the maths is in scan.py.
 *
 * scan_rows(rows, scale, error, length, query, skip, found, high, lows, unit, near, far, begin, end, instructions)
 * looks at rows[begin:end] and returns how many it found; found and high hold them from `begin` on.
 */
#include "_native.h"
#include <math.h>

#define AHEAD 2048 /* bytes: how far ahead of the row in work memory is asked for */
#define AT_ONCE 4096 /* rows: enough that memory, which pauses between them, seldom does */

struct job {
    const int8_t *rows;                   /* [n, width] */
    const float *scale, *error, *length;  /* [n] */
    const int16_t *query;                 /* [width] */
    const uint8_t *skip;                  /* [n] */
    int32_t *found;                       /* [n] */
    double *high, *lows;                  /* [n], [k] */
    Py_ssize_t width, k, begin, end;
    double unit, near, far; /* see may_be_best */
};

#define LOOP "_scan_rows.h"
#include "_sets.h"

/* Put `value` in the place of the least of a heap of k (the least stands first). */
static void replace_least(double *heap, Py_ssize_t k, double value)
{
    Py_ssize_t at = 0;
    for (;;) {
        Py_ssize_t child = 2 * at + 1;
        if (child >= k)
            break;
        if (child + 1 < k && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= value)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

/* The k largest lower bounds so far stand in `lows`. A row whose upper bound is no more than the least of them has k
 * rows before it that score at least as much, and the earlier wins a tie: it is out. A bound that is not a number keeps
 * its row in. Whom to skip is asked last, of the few that remain. */
static Py_ssize_t scan(const struct job *j, enum instructions set)
{
    double middle[AT_ONCE], apart[AT_ONCE];
    Py_ssize_t n_found = 0;
    for (Py_ssize_t i = 0; i < j->k; i++)
        j->lows[i] = -INFINITY;
    for (Py_ssize_t first = j->begin; first < j->end; first += AT_ONCE) {
        const Py_ssize_t n = j->end - first < AT_ONCE ? j->end - first : AT_ONCE;
        RUN(set, bounds, j, first, n, middle, apart);
        for (Py_ssize_t i = 0; i < n; i++) {
            if (middle[i] + apart[i] <= j->lows[0] || j->skip[first + i])
                continue;
            j->found[j->begin + n_found] = (int32_t)(first + i);
            j->high[j->begin + n_found] = middle[i] + apart[i];
            n_found++;
            if (middle[i] - apart[i] > j->lows[0])
                replace_least(j->lows, j->k, middle[i] - apart[i]);
        }
    }
    return n_found;
}

enum { ROWS, SCALE, ERROR, LENGTH, QUERY, SKIP, FOUND, HIGH, LOWS, N_ARRAYS };

/* The layout of the arrays, checked: scan.py has the messages for people, this only keeps memory safe. */
static const char *check(const Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    static const Py_ssize_t sizes[] = {1, 4, 4, 4, 2, 1, 4, 8, 8};
    for (int i = 0; i < N_ARRAYS; i++)
        if (b[i].itemsize != sizes[i] || b[i].ndim != (i == ROWS ? 2 : 1))
            return "an array has the wrong type or number of axes";
    const Py_ssize_t n = b[ROWS].shape[0];
    for (int i = SCALE; i < LOWS; i++)
        if (b[i].shape[0] != (i == QUERY ? b[ROWS].shape[1] : n))
            return "lengths do not fit each other";
    if (b[LOWS].shape[0] < 1 || n > INT32_MAX)
        return "no places to fill, or more rows than int32 counts";
    if (begin < 0 || end < begin || end > n)
        return "begin and end are not rows";
    return NULL;
}

static PyObject *py_scan_rows(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *arrays[N_ARRAYS], *answer = NULL;
    Py_buffer b[N_ARRAYS];
    struct job j;
    int set;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOdddnni", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4],
                          &arrays[5], &arrays[6], &arrays[7], &arrays[8], &j.unit, &j.near, &j.far, &j.begin, &j.end,
                          &set))
        return NULL;
    const int n_held = hold(arrays, b, N_ARRAYS, 1u << FOUND | 1u << HIGH | 1u << LOWS);
    if (n_held < N_ARRAYS || refuse("scan_rows", check(b, j.begin, j.end), set))
        goto done;
    j.rows = b[ROWS].buf, j.scale = b[SCALE].buf, j.error = b[ERROR].buf, j.length = b[LENGTH].buf;
    j.query = b[QUERY].buf, j.skip = b[SKIP].buf, j.found = b[FOUND].buf, j.high = b[HIGH].buf, j.lows = b[LOWS].buf;
    j.width = b[ROWS].shape[1], j.k = b[LOWS].shape[0];
    Py_ssize_t n_found;
    Py_BEGIN_ALLOW_THREADS
    n_found = scan(&j, (enum instructions)set);
    Py_END_ALLOW_THREADS
    answer = PyLong_FromSsize_t(n_found);
done:
    release(b, n_held);
    return answer;
}

static PyMethodDef methods[] = {
    {"scan_rows", py_scan_rows, METH_VARARGS,
     "scan_rows(rows, scale, error, length, query, skip, found, high, lows, unit, near, far, begin, end, instructions): "
     "the number of rows of rows[begin:end] that may be among the best."},
    INSTRUCTIONS,
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_scan", "The fast loop of scan.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void) { return PyModule_Create(&module); }
