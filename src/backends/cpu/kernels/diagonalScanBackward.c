// Scan of discrete diagonal systems, backward. Nothing of length × n comes from the forward pass: a task, 16 channels of
// a sequence, runs the recurrence once more, keeping h at the start of every 16 steps, then takes these chunks from the
// last to the first: h of a chunk again into the first-level cache, then the adjoint q = ∂L/∂h back over it,
//   q[t] = 2 C* dy[t] + Ā* q[t+1]
// Gradients of Ā, B̄, C and D are sums over time, then in a second pass over the batch: in an order that depends on the
// length and the batch alone. Floor: 28 multiply-adds per (mode, step), 6 of them for each time that h is computed.
#include "diagonalScan.h"

typedef struct {
  DiagonalRefs refs;
  ref dy, dLast, du, dAbar, dBbar, dC, dD, dState;
  uint32_t accumulate;
  ref scratch;
  DiagonalSizes sizes;
} DiagonalScanBackward;

// The scratch: per sequence the sums for Ā, B̄, C (channels, n, 2) and D; per thread, in rows of 16 channels, the system
// (C doubled), the adjoint, the sums, and h at the start of each chunk.
typedef struct {
  float *sums, *A, *B, *C, *q, *dA, *dB, *dC, *starts;
  int rows, perSequence;
} DiagonalScratch;

INLINE DiagonalScratch diagonalScratch(float* scratch, const DiagonalSizes* s, int thread) {
  const int rows = 2 * s->n * DIAGONAL_CHANNELS, chunks = (s->length + DIAGONAL_STEPS - 1) / DIAGONAL_STEPS;
  const int perSequence = ((6 * s->n + 1) * s->channels + 15) / 16 * 16;
  float* A = scratch + (long)s->batch * perSequence + (long)thread * rows * (7 + chunks);
  return (DiagonalScratch){scratch,      A,           A + rows,    A + 2 * rows,  A + 3 * rows,
                           A + 4 * rows, A + 5 * rows, A + 6 * rows, A + 7 * rows, rows, perSequence};
}

#define EACH UNROLL for (int i = 0; i < count; i++)

// h of `count` modes from the start of a chunk (at) to the start of the next.
INLINE void sweepModes(const float* u, int next, int steps, int lanes, const float* A, const float* B, const float* at,
                       float* after, const int count) {
  vf hr[DIAGONAL_MODES], hi[DIAGONAL_MODES];
  EACH hr[i] = modeRe(at, i), hi[i] = modeIm(at, i);
  for (int t = 0; t < steps; t++, u += next) {
    const vf x = loadUpTo(u, lanes);
    EACH advanceMode(modeRe(A, i), modeIm(A, i), modeRe(B, i), modeIm(B, i), x, hr[i], hi[i], &hr[i], &hi[i]);
  }
  EACH setMode(after, i, hr[i], hi[i]);
}

// The adjoint of `count` modes back through a chunk. Rows begin at `row` in x and in `at`, h at its start.
INLINE void adjointModes(const DiagonalScratch* x, long row, const float* at, const vf* u, const vf* dy, vf* du,
                         int steps, const int count) {
  vf hr[DIAGONAL_STEPS + 1][DIAGONAL_MODES], hi[DIAGONAL_STEPS + 1][DIAGONAL_MODES];  // [t]: before step t
  vf qr[DIAGONAL_MODES], qi[DIAGONAL_MODES];
  const float *A = x->A + row, *B = x->B + row, *C = x->C + row;
  float *dA = x->dA + row, *dB = x->dB + row, *dC = x->dC + row;
  EACH hr[0][i] = modeRe(at, i), hi[0][i] = modeIm(at, i);
  for (int t = 0; t < steps; t++) {
    EACH advanceMode(modeRe(A, i), modeIm(A, i), modeRe(B, i), modeIm(B, i), u[t], hr[t][i], hi[t][i],
                     &hr[t + 1][i], &hi[t + 1][i]);
  }
  EACH qr[i] = modeRe(x->q + row, i), qi[i] = modeIm(x->q + row, i);
  for (int t = steps - 1; t >= 0; t--) {
    const vf twice = dy[t] + dy[t];
    vf sum = du[t];
    EACH {
      qr[i] = fma_(modeRe(C, i), dy[t], qr[i]);
      qi[i] = fma_(-modeIm(C, i), dy[t], qi[i]);
      sum = fma_(qi[i], modeIm(B, i), fma_(qr[i], modeRe(B, i), sum));
      setMode(dB, i, fma_(qr[i], u[t], modeRe(dB, i)), fma_(qi[i], u[t], modeIm(dB, i)));
      setMode(dC, i, fma_(twice, hr[t + 1][i], modeRe(dC, i)), fma_(-twice, hi[t + 1][i], modeIm(dC, i)));
      setMode(dA, i, fma_(qi[i], hi[t][i], fma_(qr[i], hr[t][i], modeRe(dA, i))),
              fma_(-qr[i], hi[t][i], fma_(qi[i], hr[t][i], modeIm(dA, i))));
      const vf re = fma_(modeIm(A, i), qi[i], modeRe(A, i) * qr[i]);
      qi[i] = fma_(-modeIm(A, i), qr[i], modeRe(A, i) * qi[i]);
      qr[i] = re;
    }
    du[t] = sum;
  }
  EACH setMode(x->q + row, i, qr[i], qi[i]);
}
#undef EACH

static void sweepDiagonal(const DiagonalScratch* x, const float* u, int next, int steps, int lanes, int n, int c,
                          const float* at, float* after) {
  int i = 0;
  for (; i + DIAGONAL_MODES <= n; i += DIAGONAL_MODES) {
    const int row = 2 * i * DIAGONAL_CHANNELS + c;
    sweepModes(u, next, steps, lanes, x->A + row, x->B + row, at + row, after + row, DIAGONAL_MODES);
  }
  for (; i < n; i++) {
    const int row = 2 * i * DIAGONAL_CHANNELS + c;
    sweepModes(u, next, steps, lanes, x->A + row, x->B + row, at + row, after + row, 1);
  }
}

typedef struct {
  const DiagonalScanBackward* a;
  DiagonalScratch x;
  const float *u, *D, *dy;
  float *du, *dD;  // dD: of this sequence
} DiagonalBack;

// Channels c … of a block through a chunk whose u begins at `at`, h at its start.
static void backDiagonal(const DiagonalBack* k, const DiagonalBlock* block, long at, int steps, int c,
                         const float* start) {
  const int next = k->a->sizes.channels, n = k->a->sizes.n, lanes = block->count - c, d = block->first + c;
  const vf skip = k->D ? loadUpTo(k->D + d, lanes) : splat(0);
  vf u[DIAGONAL_STEPS], dy[DIAGONAL_STEPS], du[DIAGONAL_STEPS], dD = loadUpTo(k->dD + d, lanes);
  for (int t = steps - 1; t >= 0; t--) {
    u[t] = loadUpTo(k->u + at + t * next, lanes);
    dy[t] = k->dy ? loadUpTo(k->dy + at + t * next, lanes) : splat(0);
    du[t] = k->D ? skip * dy[t] : splat(0);
    dD = fma_(u[t], dy[t], dD);
  }
  storeUpTo(k->dD + d, dD, lanes);
  int i = 0;
  for (; i + DIAGONAL_MODES <= n; i += DIAGONAL_MODES) {
    const int row = 2 * i * DIAGONAL_CHANNELS + c;
    adjointModes(&k->x, row, start + row, u, dy, du, steps, DIAGONAL_MODES);
  }
  for (; i < n; i++) {
    const int row = 2 * i * DIAGONAL_CHANNELS + c;
    adjointModes(&k->x, row, start + row, u, dy, du, steps, 1);
  }
  if (!k->du) return;
  for (int t = 0; t < steps; t++) {
    float* to = k->du + at + t * next;
    storeUpTo(to, k->a->accumulate & 1 ? loadUpTo(to, lanes) + du[t] : du[t], lanes);
  }
}

KERNEL(diagonalScanBackward) {
  const DiagonalScanBackward* a = arguments;
  const DiagonalSizes* s = &a->sizes;
  const DiagonalScratch x = diagonalScratch(FLOATS(a->scratch), s, thread);
  const float *u = FLOATS(a->refs.u), *state = FLOATS(a->refs.state), *dLast = FLOATS(a->dLast);
  const int width = 2 * s->n, parameters = width * s->channels, wide = DIAGONAL_CHANNELS;
  for (int task = begin; task < end; task++) {
    const DiagonalBlock block = diagonalBlock(s, task);
    float* sums = x.sums + (long)block.b * x.perSequence;
    const DiagonalBack k = {a, x, u, FLOATS(a->refs.D), FLOATS(a->dy), FLOATS(a->du), sums + 3 * parameters};
    gatherChannels(FLOATS(a->refs.Abar) + block.system, block.count, width, x.A, wide);
    gatherChannels(FLOATS(a->refs.Bbar) + block.system, block.count, width, x.B, wide);
    gatherChannels(FLOATS(a->refs.C) + block.system, block.count, width, x.C, wide);
    for (int i = 0; i < x.rows; i += LANES) {
      store(x.C + i, load(x.C + i) * 2.0f);
      store(x.q + i, splat(0)), store(x.starts + i, splat(0));
      store(x.dA + i, splat(0)), store(x.dB + i, splat(0)), store(x.dC + i, splat(0));
    }
    for (int c = 0; c < block.count; c++) k.dD[block.first + c] = 0;
    if (state) gatherChannels(state + block.states, block.count, width, x.starts, wide);
    if (dLast) gatherChannels(dLast + block.states, block.count, width, x.q, wide);
    const long from = (long)block.b * s->length * s->channels + block.first;
    float* at = x.starts;
    int t = 0;
    for (; t + DIAGONAL_STEPS < s->length; t += DIAGONAL_STEPS, at += x.rows) {
      for (int c = 0; c < block.count; c += LANES) {
        sweepDiagonal(&x, u + from + (long)t * s->channels + c, s->channels, DIAGONAL_STEPS, block.count - c, s->n, c,
                      at, at + x.rows);
      }
    }
    for (; t >= 0; t -= DIAGONAL_STEPS, at -= x.rows) {
      const int steps = MIN(DIAGONAL_STEPS, s->length - t);
      for (int c = 0; c < block.count; c += LANES) {
        backDiagonal(&k, &block, from + (long)t * s->channels + c, steps, c, at);
      }
    }
    scatterChannels(x.dA, wide, sums + block.system, block.count, width, 0);
    scatterChannels(x.dB, wide, sums + parameters + block.system, block.count, width, 0);
    scatterChannels(x.dC, wide, sums + 2 * parameters + block.system, block.count, width, 0);
    float* dState = FLOATS(a->dState);
    if (dState) scatterChannels(x.q, wide, dState + block.states, block.count, width, a->accumulate >> 5 & 1);
  }
}

// Ā, B̄, C and D: the sum over the batch. A task is 32 numbers of each.
KERNEL(diagonalScanBackwardSystem) {
  const DiagonalScanBackward* a = arguments;
  const DiagonalSizes* s = &a->sizes;
  const DiagonalScratch x = diagonalScratch(FLOATS(a->scratch), s, thread);
  float* gradients[] = {FLOATS(a->dAbar), FLOATS(a->dBbar), FLOATS(a->dC), FLOATS(a->dD)};
  const float* from = x.sums;
  for (int i = 0; i < 4; i++) {
    const int size = (i < 3 ? 2 * s->n : 1) * s->channels, adds = a->accumulate >> (i + 1) & 1;
    if (gradients[i]) sumBlocks(from, s->batch, x.perSequence, gradients[i], size, adds, begin, end);
    from += size;
  }
}
