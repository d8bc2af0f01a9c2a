/* ReLU and max-pooling over time, channels last: the loop behind predict/conv.py, whose twin is torch's own.
 *
 * largest(frames, top, begin, end, set)          top[r] = the greatest of 0 and frames[r * size : (r + 1) * size]
 * give_back(frames, gradient, begin, end, set)   frames become the gradient by frames, from that by their top
 * for the rows begin to end of top or gradient [n_rows, width], with frames [n_rows * size, width], both float32 or
 * both bfloat16. The frames of a row are read before any is overwritten, so neither indices nor a second array of
 * their size is needed.
 *
 * Three more arguments, the addresses of GOMP_parallel, omp_get_thread_num and omp_get_num_threads in the library that
 * came with torch, and a fourth, how many threads, share the rows out among torch's own threads. They are awake after
 * a convolution and would keep any other thread from their cores.
 */
#include "_native.h"

typedef int32_t whole __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t bits __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t halves __attribute__((vector_size(32), aligned(2), may_alias));

#define BRAIN_TO_FLOAT(x) ((wide)(__builtin_convertvector(x, bits) << 16))
#define FLOAT_TO_BRAIN(x) __builtin_convertvector((bits)(x) >> 16, halves) /* exact: it came from there */
#define SAME(x) (x)

#define LOOP "_maxpool_kinds.h"
#include "_sets.h"

static void work(enum instructions set, int largest, Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    const Py_ssize_t width = b[1].shape[1];
    const int size = (int)(b[0].shape[0] / b[1].shape[0]), brain = b[0].itemsize == 2;
    RUN(set, work, largest, brain, b[0].buf, b[1].buf, width, size, begin, end);
}

/* Only what keeps memory safe. */
static const char *check(Py_buffer *b, Py_ssize_t begin, Py_ssize_t end)
{
    if (b[0].ndim != 2 || b[1].ndim != 2 || b[0].itemsize != b[1].itemsize ||
        (b[0].itemsize != 2 && b[0].itemsize != 4))
        return "an array has the wrong type or number of axes";
    const Py_ssize_t n_rows = b[1].shape[0];
    if (b[0].shape[1] != b[1].shape[1] || n_rows < 1 || b[0].shape[0] < n_rows || b[0].shape[0] % n_rows ||
        b[0].shape[0] / n_rows > INT32_MAX)
        return "frames are not a multiple of the rows, or not as wide";
    if (begin < 0 || end < begin || end > n_rows)
        return "begin and end are not rows";
    return NULL;
}

typedef void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
typedef int (*number)(void);

struct share {
    enum instructions set;
    int largest;
    Py_buffer *b;
    Py_ssize_t begin, end;
    number thread, n_threads;
};

static void work_share(void *given)
{
    const struct share *s = given;
    const Py_ssize_t thread = s->thread(), n_threads = s->n_threads(), n = s->end - s->begin;
    work(s->set, s->largest, s->b, s->begin + n * thread / n_threads, s->begin + n * (thread + 1) / n_threads);
}

static PyObject *run(PyObject *args, int largest)
{
    PyObject *arrays[2], *answer = NULL;
    Py_buffer b[2];
    Py_ssize_t begin, end;
    Py_ssize_t crew[3] = {0};
    int set, n_threads = 1;
    if (!PyArg_ParseTuple(args, "OOnni|nnni", &arrays[0], &arrays[1], &begin, &end, &set, &crew[0], &crew[1],
                          &crew[2], &n_threads))
        return NULL;
    const int n_held = hold(arrays, b, 2, 1u << largest);
    if (n_held < 2 || refuse("maxpool", check(b, begin, end), set))
        goto done;
    struct share all = {(enum instructions)set, largest, b, begin, end, (number)crew[1], (number)crew[2]};
    Py_BEGIN_ALLOW_THREADS
    if (n_threads > 1 && crew[0] && crew[1] && crew[2])
        ((parallel)crew[0])(work_share, &all, (unsigned)n_threads, 0);
    else
        work(all.set, largest, b, begin, end);
    Py_END_ALLOW_THREADS
    answer = Py_NewRef(Py_None);
done:
    release(b, n_held);
    return answer;
}

static PyObject *py_largest(PyObject *self, PyObject *args)
{
    (void)self;
    return run(args, 1);
}

static PyObject *py_give_back(PyObject *self, PyObject *args)
{
    (void)self;
    return run(args, 0);
}

static PyMethodDef methods[] = {
    {"largest", py_largest, METH_VARARGS, "largest(frames, top, begin, end, instructions[, crew]): fill top."},
    {"give_back", py_give_back, METH_VARARGS,
     "give_back(frames, gradient, begin, end, instructions[, crew]): turn frames into their gradients."},
    INSTRUCTIONS,
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_maxpool", "The fast loop of predict/conv.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__maxpool(void) { return PyModule_Create(&module); }
