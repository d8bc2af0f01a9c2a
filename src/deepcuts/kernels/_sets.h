/* The loop in the file LOOP, once for each instruction set, with
 *   TARGET    the attribute that allows the set
 *   NAMED(x)  x with the name of the set behind it
 *   LANES     floats in a register of the set
 */
#define TARGET
#define NAMED(x) x##_plain
#define LANES 4
#include LOOP
#undef TARGET
#undef NAMED
#undef LANES

#if HAS_SETS
#define TARGET TARGET_AVX2
#define NAMED(x) x##_avx2
#define LANES 8
#include LOOP
#undef TARGET
#undef NAMED
#undef LANES
#define TARGET TARGET_AVX512
#define NAMED(x) x##_avx512
#define LANES 16
#include LOOP
#undef TARGET
#undef NAMED
#undef LANES
#endif
