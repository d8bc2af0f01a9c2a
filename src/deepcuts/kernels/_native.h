/* What the C loops share: vectors of 16 floats, and the instruction sets one build can run.
 *
 * A loop lives in its own header (_als_rows.h), which _sets.h includes once for each set. RUN calls it through the best
 * set of the processor, or a lesser one for the tests.
 *
 * No threads here: a loop gives up Python's lock, and native.py calls it from several threads on different rows. That
 * needs no OpenMP, whose runtimes (ours, torch's, scikit-learn's) do not always bear each other.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Arrays of these may begin at any float: alignment is a matter of speed only. */
typedef float wide __attribute__((vector_size(64), aligned(4), may_alias));
typedef float half __attribute__((vector_size(32), aligned(4), may_alias));

enum instructions { PLAIN, AVX2, AVX512 };

#if defined(__x86_64__)
#define HAS_SETS 1
#define TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")))
#endif

static enum instructions best_instructions(void)
{
#if HAS_SETS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
        return AVX2;
#endif
    return PLAIN;
}

/* name_SET(...) of the loop called name. */
#if HAS_SETS
#define RUN(set, name, ...)                                                                                            \
    ((set) == AVX512 ? name##_avx512(__VA_ARGS__) : (set) == AVX2 ? name##_avx2(__VA_ARGS__) : name##_plain(__VA_ARGS__))
#else
#define RUN(set, name, ...) ((void)(set), name##_plain(__VA_ARGS__))
#endif

/* Arrays as they lie in memory, to be written to where bit i of `written` is set. Returns how many of the n are held:
 * all, or fewer with an error set. Either way `release` them. */
static inline int hold(PyObject *const *arrays, Py_buffer *b, int n, unsigned written)
{
    int n_held = 0;
    while (n_held < n && !PyObject_GetBuffer(arrays[n_held], &b[n_held],
                                             PyBUF_C_CONTIGUOUS | (written >> n_held & 1 ? PyBUF_WRITABLE : 0)))
        n_held++;
    return n_held;
}

static inline void release(Py_buffer *b, int n_held)
{
    while (n_held > 0)
        PyBuffer_Release(&b[--n_held]);
}

/* Whether the call must not go on, with an error set: something is `wrong`, or this processor lacks the set. */
static inline int refuse(const char *loop, const char *wrong, int set)
{
    if (!wrong && (set < PLAIN || set > (int)best_instructions()))
        wrong = "this processor lacks these instructions";
    if (wrong)
        PyErr_Format(PyExc_ValueError, "%s: %s", loop, wrong);
    return wrong != NULL;
}

static PyObject *py_instructions(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    static const char *const names[] = {"plain", "avx2", "avx512"};
    PyObject *answer = PyList_New(0);
    for (int set = PLAIN; answer && set <= (int)best_instructions(); set++) {
        PyObject *name = PyUnicode_FromString(names[set]);
        if (!name || PyList_Append(answer, name))
            Py_CLEAR(answer);
        Py_XDECREF(name);
    }
    return answer;
}

/* For the table of methods. */
#define INSTRUCTIONS {"instructions", py_instructions, METH_NOARGS, "The sets of this processor, the best one last."}
