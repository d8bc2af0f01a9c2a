/* The rows of one half-sweep, for one instruction set (_sets.h).
 *
 * Row x with plays i (surplus s_i, fixed row y_i; basis in which G + lambda I is the identity) solves
 *     (I + sum_i s_i y_i y_i') x = sum_i (1 + s_i) y_i
 * by conjugate gradient. Every product with the matrix is one walk over the plays of the row: first the dots
 * y_i . p, then the sum of s_i (y_i . p) y_i while y_i is still in the nearest cache. z_i = y_i . x is kept up to
 * date along the way, so the objective costs nothing. The last walk needs the dots alone.
 *
 * Rows are n_wide vectors of 16 floats, padded with zeros. Four plays at a time: p is then read, and the sum
 * written, a quarter as often. A missing fourth play repeats the first with weight zero.
 */

TARGET static inline __attribute__((always_inline)) float NAMED(total)(const wide *v)
{
    half h = ((const half *)v)[0] + ((const half *)v)[1];
    float t[8];
    memcpy(t, &h, sizeof t);
    return ((t[0] + t[4]) + (t[1] + t[5])) + ((t[2] + t[6]) + (t[3] + t[7]));
}

TARGET static inline __attribute__((always_inline)) float NAMED(square)(const wide *p, Py_ssize_t n_wide)
{
    wide sum = {0};
    for (Py_ssize_t k = 0; k < n_wide; k++)
        sum += p[k] * p[k];
    return NAMED(total)(&sum);
}

TARGET static inline __attribute__((always_inline)) void NAMED(dots)(
    const wide *const *y, const wide *p, Py_ssize_t n_wide, float *d)
{
    wide a = {0}, b = {0}, c = {0}, e = {0};
    const wide *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
    for (Py_ssize_t k = 0; k < n_wide; k++) {
        wide q = p[k];
        a += y0[k] * q;
        b += y1[k] * q;
        c += y2[k] * q;
        e += y3[k] * q;
    }
    d[0] = NAMED(total)(&a);
    d[1] = NAMED(total)(&b);
    d[2] = NAMED(total)(&c);
    d[3] = NAMED(total)(&e);
}

TARGET static inline __attribute__((always_inline)) void NAMED(add)(
    const wide *const *y, const float *w, Py_ssize_t n_wide, wide *sum)
{
    const wide *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
    for (Py_ssize_t k = 0; k < n_wide; k++)
        sum[k] += (y0[k] * w[0] + y1[k] * w[1]) + (y2[k] * w[2] + y3[k] * w[3]);
}

/* One row; returns what its plays add to the objective: sum_i s_i (1 - z_i)^2 + 1 - 2 z_i. */
TARGET static double NAMED(solve_row)(
    const int32_t *other, const float *surplus, Py_ssize_t n_plays, const wide *fixed, Py_ssize_t n_wide,
    wide *x, int n_steps, struct scratch s)
{
    const size_t bytes = (size_t)n_wide * sizeof(wide);
    wide *r = s.residual, *p = s.direction, *q = s.product;
    float *z = s.z, *d = s.d;
    const wide *y[4];
    float w[4];

    if (n_plays == 0) {
        memset(x, 0, bytes);
        return 0.0;
    }
    for (Py_ssize_t k = 0; k < n_wide; k++)
        r[k] = -x[k];
    for (Py_ssize_t i = 0; i < n_plays; i += 4) {
        for (int j = 0; j < 4; j++)
            y[j] = fixed + n_wide * (Py_ssize_t)other[i + j < n_plays ? i + j : i];
        for (int j = 4; j < 8 && i + j < n_plays; j++) {
            const char *next = (const char *)(fixed + n_wide * (Py_ssize_t)other[i + j]);
            for (size_t b = 0; b < bytes; b += 64)
                __builtin_prefetch(next + b);
        }
        NAMED(dots)(y, x, n_wide, z + i);
        for (int j = 0; j < 4; j++)
            w[j] = i + j < n_plays ? (1.0f + surplus[i + j]) - surplus[i + j] * z[i + j] : 0.0f;
        NAMED(add)(y, w, n_wide, r);
    }
    memcpy(p, r, bytes);
    float rr = NAMED(square)(r, n_wide);

    for (int step = 1; step <= n_steps; step++) {
        if (rr <= FLT_MIN)
            break; /* solved; a NaN goes on and shows in the row */
        const int last = step == n_steps;
        float curvature = NAMED(square)(p, n_wide);
        memcpy(q, p, bytes);
        for (Py_ssize_t i = 0; i < n_plays; i += 4) {
            for (int j = 0; j < 4; j++)
                y[j] = fixed + n_wide * (Py_ssize_t)other[i + j < n_plays ? i + j : i];
            NAMED(dots)(y, p, n_wide, d + i);
            for (int j = 0; j < 4; j++) {
                w[j] = i + j < n_plays ? surplus[i + j] * d[i + j] : 0.0f;
                curvature += w[j] * d[i + j];
            }
            if (!last)
                NAMED(add)(y, w, n_wide, q);
        }
        const float length = rr / curvature;
        for (Py_ssize_t k = 0; k < n_wide; k++)
            x[k] += length * p[k];
        for (Py_ssize_t i = 0; i < n_plays; i++)
            z[i] += length * d[i];
        if (last)
            break;
        for (Py_ssize_t k = 0; k < n_wide; k++)
            r[k] -= length * q[k];
        const float rr_next = NAMED(square)(r, n_wide), turn = rr_next / rr;
        for (Py_ssize_t k = 0; k < n_wide; k++)
            p[k] = r[k] + turn * p[k];
        rr = rr_next;
    }

    double loss = 0.0;
    for (Py_ssize_t i = 0; i < n_plays; i++) {
        const double miss = 1.0 - (double)z[i];
        loss += (double)surplus[i] * miss * miss + 2.0 * miss - 1.0;
    }
    return loss;
}

TARGET static void NAMED(solve_rows)(
    const int64_t *start, const int32_t *other, const float *surplus, const wide *fixed, Py_ssize_t n_wide,
    wide *rows, double *loss, Py_ssize_t begin, Py_ssize_t end, int n_steps, struct scratch s)
{
    for (Py_ssize_t row = begin; row < end; row++)
        loss[row] = NAMED(solve_row)(
            other + start[row], surplus + start[row], (Py_ssize_t)(start[row + 1] - start[row]), fixed, n_wide,
            rows + row * n_wide, n_steps, s);
}
