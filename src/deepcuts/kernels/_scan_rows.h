/* Bounds of the products of rows with a query, for one instruction set (_sets.h).
 *
 * The inner loop is plain, so that the compiler sees a product of 16-bit numbers summed in 32 bits: one instruction for
 * 16 or 32 of them. Reading the rows from memory is what takes the time, so the rows ahead are asked for early.
 */
TARGET static void NAMED(dots)(
    const int8_t *rows, Py_ssize_t width, Py_ssize_t n, const int16_t *query, int32_t *dots)
{
    for (Py_ssize_t row = 0; row < n; row++) {
        const int8_t *numbers = rows + row * width;
        for (Py_ssize_t k = 0; k < width; k += 64)
            __builtin_prefetch(numbers + AHEAD + k);
        int32_t sum = 0;
        for (Py_ssize_t k = 0; k < width; k++)
            sum += (int32_t)numbers[k] * query[k];
        dots[row] = sum;
    }
}

/* Of n rows from `first` on: middle = what the rounded numbers say, apart = how far the truth may be from it. */
TARGET static void NAMED(bounds)(const struct job *j, Py_ssize_t first, Py_ssize_t n, double *middle, double *apart)
{
    int32_t dots[AT_ONCE];
    NAMED(dots)(j->rows + first * j->width, j->width, n, j->query, dots);
    const float *scale = j->scale + first, *error = j->error + first, *length = j->length + first;
    for (Py_ssize_t i = 0; i < n; i++) {
        middle[i] = j->unit * (double)scale[i] * (double)dots[i];
        apart[i] = j->near * (double)error[i] + j->far * (double)length[i];
    }
}
