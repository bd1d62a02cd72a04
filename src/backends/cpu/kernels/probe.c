// Two limits of the machine: how fast memory is read, and how fast fused multiply-adds are done in registers.
#include "kernel.h"

typedef struct {
  ref u, y, scratch;
  int32_t pass, size, sliceLength, streams, repeats;
} ReadProbe;

// The exclusive or of n numbers. They are cut into `streams` parts that are read side by side: which number of streams
// the prefetchers follow best depends on the machine. Eight sums, so that the operation itself is not what limits.
INLINE int32_t readAll(const int32_t* u, int n, const int streams) {
  enum { SUMS = 8 };
  const int each = SUMS / streams;
  const int part = n / streams / (each * LANES) * (each * LANES);
  vi sums[SUMS] = {0};
  for (int i = 0; i < part; i += each * LANES) {
    UNROLL for (int j = 0; j < SUMS; j++) {
      sums[j] ^= (vi)load((const float*)(u + j / each * part + i + j % each * LANES));
    }
  }
  int32_t sum = 0;
  UNROLL for (int j = 0; j < SUMS; j++) {
    UNROLL for (int lane = 0; lane < LANES; lane++) sum ^= sums[j][lane];
  }
  for (int i = streams * part; i < n; i++) sum ^= u[i];
  return sum;
}

// A task is a slice.
KERNEL(readProbe) {
  const ReadProbe* a = arguments;
  for (int slice = begin; slice < end; slice++) {
    const int first = slice * a->sliceLength;
    const int n = MIN(a->sliceLength, a->size - first);
    int32_t sum = 0;
    for (int repeat = 0; repeat < a->repeats; repeat++) {
      const int32_t* u = INTS(a->u) + first;
      __asm__ volatile("" : "+r"(u) : : "memory");  // else the compiler sees that it read the same before
      sum ^= a->streams == 4 ? readAll(u, n, 4) : readAll(u, n, 1);
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
