/* The loops of _maxpool.c for one instruction set (TARGET) and one kind of number:
 *   NUMBER           as it lies in memory: a float, or the upper half of one (bfloat16)
 *   NUMBER_VECTOR    16 of them, TO_FLOAT and FROM_FLOAT turn them
 *   KIND(x)          x with the names of the set and the kind behind it
 *
 * 16 channels of `size` frames become one row of 16: their greatest value above 0, or 0. As in torch the first of
 * equals counts, 0 gets no gradient, and what is not a number is greater than all.
 */

TARGET static inline void KIND(load)(const NUMBER *from, int n, wide *values)
{
    NUMBER_VECTOR held = {0};
    if (n == 16)
        memcpy(&held, from, sizeof held);
    else
        memcpy(&held, from, (size_t)n * sizeof *from);
    *values = TO_FLOAT(held);
}

TARGET static inline void KIND(store)(NUMBER *to, int n, const wide *values)
{
    const NUMBER_VECTOR held = FROM_FLOAT(*values);
    if (n == 16)
        memcpy(to, &held, sizeof held);
    else
        memcpy(to, &held, (size_t)n * sizeof *to);
}

/* The greatest value by channel or 0, and the frame that has it or -1. */
TARGET static inline void KIND(peak)(
    const NUMBER *frames, Py_ssize_t width, int size, int n, wide *best, whole *which)
{
    *best = (wide){0};
    *which = (whole){0} - 1;
    for (int frame = 0; frame < size; frame++) {
        wide value;
        KIND(load)(frames + frame * width, n, &value);
        const whole greater = (value > *best) | (value != value);
        *best = (wide)((greater & (whole)value) | (~greater & (whole)*best));
        *which = (greater & frame) | (~greater & *which);
    }
}

TARGET static void KIND(largest)(
    const NUMBER *frames, NUMBER *top, Py_ssize_t width, int size, Py_ssize_t begin, Py_ssize_t end)
{
    for (Py_ssize_t row = begin; row < end; row++)
        for (Py_ssize_t at = 0; at < width; at += 16) {
            const int n = width - at < 16 ? (int)(width - at) : 16;
            whole which;
            wide best;
            KIND(peak)(frames + row * size * width + at, width, size, n, &best, &which);
            KIND(store)(top + row * width + at, n, &best);
        }
}

TARGET static void KIND(give_back)(
    NUMBER *frames, const NUMBER *gradient, Py_ssize_t width, int size, Py_ssize_t begin, Py_ssize_t end)
{
    for (Py_ssize_t row = begin; row < end; row++)
        for (Py_ssize_t at = 0; at < width; at += 16) {
            const int n = width - at < 16 ? (int)(width - at) : 16;
            NUMBER *block = frames + row * size * width + at;
            whole which;
            wide best, slope;
            KIND(peak)(block, width, size, n, &best, &which);
            KIND(load)(gradient + row * width + at, n, &slope);
            for (int frame = 0; frame < size; frame++) {
                const wide share = (wide)((which == frame) & (whole)slope);
                KIND(store)(block + frame * width, n, &share);
            }
        }
}
