// Two limits of the machine: how fast memory is read, and how fast fused multiply-adds are done in registers.
#include "kernel.h"

typedef struct {
  ref u, y, scratch;
  int32_t pass, size, sliceLength, repeats;
} ReadProbe;

// A task is a slice. Eight sums, so that neither latency nor the operation itself is what limits.
KERNEL(readProbe) {
  const ReadProbe* a = arguments;
  enum { SUMS = 8 };
  for (int slice = begin; slice < end; slice++) {
    const int first = slice * a->sliceLength;
    const int last = MIN(first + a->sliceLength, a->size);
    vi sums[SUMS] = {0};
    int32_t sum = 0;
    for (int repeat = 0; repeat < a->repeats; repeat++) {
      const char* from = base;
      __asm__ volatile("" : "+r"(from));  // the compiler may not know that it read the same before
      const int32_t* u = (const int32_t*)(from + a->u);
      int i = first;
      for (; i + SUMS * LANES <= last; i += SUMS * LANES) {
        UNROLL for (int j = 0; j < SUMS; j++) sums[j] ^= (vi)load((const float*)(u + i + j * LANES));
      }
      for (; i < last; i++) sum ^= u[i];
    }
    UNROLL for (int j = 0; j < SUMS; j++) {
      UNROLL for (int lane = 0; lane < LANES; lane++) sum ^= sums[j][lane];
    }
    INTS(a->y)[slice] = sum;
  }
}

typedef struct {
  ref u, y, scratch;
  int32_t pass, size, repeats;
} FmaProbe;

// A task is 160 floats, in groups of ten vectors.
KERNEL(fmaProbe) {
  const FmaProbe* a = arguments;
  enum { CHAINS = 10 };
  const vf factor = splat(0.75f), term = splat(0.5f);
  for (int at = begin * 160; at < end * 160; at += CHAINS * LANES) {
    vf x[CHAINS];
    UNROLL for (int j = 0; j < CHAINS; j++) x[j] = load(FLOATS(a->u) + at + j * LANES);
    for (int repeat = 0; repeat < a->repeats; repeat++) {
      UNROLL for (int j = 0; j < CHAINS; j++) x[j] = fma_(x[j], factor, term);
    }
    UNROLL for (int j = 0; j < CHAINS; j++) store(FLOATS(a->y) + at + j * LANES, x[j]);
  }
}
