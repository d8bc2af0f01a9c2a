/* _maxpool_rows.h for both kinds of number, and the choice between them, for one instruction set. */

#define NUMBER float
#define NUMBER_VECTOR wide
#define TO_FLOAT SAME
#define FROM_FLOAT SAME
#define KIND(x) NAMED(x##_float)
#include "_maxpool_rows.h"
#undef NUMBER
#undef NUMBER_VECTOR
#undef TO_FLOAT
#undef FROM_FLOAT
#undef KIND

#define NUMBER uint16_t
#define NUMBER_VECTOR halves
#define TO_FLOAT BRAIN_TO_FLOAT
#define FROM_FLOAT FLOAT_TO_BRAIN
#define KIND(x) NAMED(x##_brain)
#include "_maxpool_rows.h"
#undef NUMBER
#undef NUMBER_VECTOR
#undef TO_FLOAT
#undef FROM_FLOAT
#undef KIND

TARGET static void NAMED(work)(
    int largest, int brain, void *frames, void *other, Py_ssize_t width, int size, Py_ssize_t begin, Py_ssize_t end)
{
    if (largest && brain)
        NAMED(largest_brain)(frames, other, width, size, begin, end);
    else if (largest)
        NAMED(largest_float)(frames, other, width, size, begin, end);
    else if (brain)
        NAMED(give_back_brain)(frames, other, width, size, begin, end);
    else
        NAMED(give_back_float)(frames, other, width, size, begin, end);
}
