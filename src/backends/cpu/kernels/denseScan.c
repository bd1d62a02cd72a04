// Dense recurrence, forward and backward. A forward task is a channel of one sequence: Ā is transposed first, so that a
// step is a sum of its columns with vectors along the state. A backward task is a channel of all sequences, one after the
// other, so that dĀ, dB̄ and dC have one writer: the states and their gradients g stand in scratch of the thread, and
// dĀ = Σ g[t] x[t−1]ᵀ is formed once both are whole.
// Traffic: Ā from the nearest cache, N² floats a step forward, 3 N² backward. Parallel over batch · channels, backward over
// channels; no product of matrices, because each x[t] needs the one before it.
#include "denseScan.h"

typedef struct {
  ref u, Abar, Bbar, C, state, y, last, scratch;
  int32_t pass, batch, length, channels, N, readouts;
} DenseScan;

// x[t] from x[t−1], with Ā transposed.
INLINE void denseStep(const float* At, const float* B, float u, const float* before, float* x, int n) {
  combineRows(before, 1, At, n, n, x, 0);
  addScaled(u, B, n, x);
}

KERNEL(denseScan) {
  const DenseScan* a = arguments;
  const int n = a->N, readouts = a->readouts;
  float* At = FLOATS(a->scratch) + (long)thread * n * (n + 1);
  float* before = At + (long)n * n;
  int transposed = -1;
  for (int task = begin; task < end; task++) {
    const int c = task / a->batch, b = task % a->batch;  // a thread's tasks in a row share Ā
    if (c != transposed) transposeMatrix(FLOATS(a->Abar) + (long)c * n * n, n, At);
    transposed = c;
    const float* B = FLOATS(a->Bbar) + (long)c * n;
    const float* C = FLOATS(a->C) + (long)c * readouts * n;
    float* x = FLOATS(a->last) + ((long)b * a->channels + c) * n;
    const float* state = a->state ? FLOATS(a->state) + ((long)b * a->channels + c) * n : 0;
    for (int i = 0; i < n; i++) x[i] = state ? state[i] : 0;
    for (int t = 0; t < a->length; t++) {
      const long at = ((long)b * a->length + t) * a->channels + c;
      for (int i = 0; i < n; i++) before[i] = x[i];
      denseStep(At, B, FLOATS(a->u)[at], before, x, n);
      for (int m = 0; m < readouts; m++) FLOATS(a->y)[at * readouts + m] = dotRow(C + (long)m * n, x, n);
    }
  }
}

typedef struct {
  ref u, Abar, Bbar, C, state, y, last, dy, dLast, du, dAbar, dBbar, dC, dState;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, batch, length, channels, N, readouts;
} DenseScanBackward;

// Where the gradients of a channel are summed: in the gradient itself, or in scratch where nobody asked for it.
INLINE float* gradientAt(char* base, ref gradient, long offset, float* unasked, int adds, int size) {
  float* at = gradient ? FLOATS(gradient) + offset : unasked;
  if (!adds || !gradient) {
    for (int i = 0; i < size; i++) at[i] = 0;
  }
  return at;
}

KERNEL(denseScanBackward) {
  const DenseScanBackward* a = arguments;
  const int n = a->N, readouts = a->readouts, length = a->length, square = n * n;
  float* At = FLOATS(a->scratch) + (long)thread * (2 * (long)square + (2 * (long)length + readouts + 3) * n);
  float* spare = At + square;                   // (N, N)
  float* xs = spare + square;                   // (length + 1, N): xs[t + 1] is x[t]
  float* g = xs + (long)(length + 1) * n;       // (length, N)
  float* carried = g + (long)length * n;        // (N)
  float* spareC = carried + n;                  // (readouts, N)
  for (int c = begin; c < end; c++) {
    const float* A = FLOATS(a->Abar) + (long)c * square;
    const float* B = FLOATS(a->Bbar) + (long)c * n;
    const float* C = FLOATS(a->C) + (long)c * readouts * n;
    transposeMatrix(A, n, At);
    float* dA = gradientAt(base, a->dAbar, (long)c * square, spare, a->accumulate & 2, square);
    float* dC = gradientAt(base, a->dC, (long)c * readouts * n, spareC, a->accumulate & 8, readouts * n);
    float* dB = gradientAt(base, a->dBbar, (long)c * n, carried + (long)(readouts + 1) * n, a->accumulate & 4, n);
    for (int b = 0; b < a->batch; b++) {
      const long row = ((long)b * a->channels + c) * n;
      for (int i = 0; i < n; i++) xs[i] = a->state ? FLOATS(a->state)[row + i] : 0;
      for (int t = 0; t < length; t++) {
        const float u = FLOATS(a->u)[((long)b * length + t) * a->channels + c];
        denseStep(At, B, u, xs + (long)t * n, xs + (long)(t + 1) * n, n);
      }
      for (int i = 0; i < n; i++) carried[i] = a->dLast ? FLOATS(a->dLast)[row + i] : 0;
      for (int t = length - 1; t >= 0; t--) {
        const long at = ((long)b * length + t) * a->channels + c;
        float* now = g + (long)t * n;
        for (int i = 0; i < n; i++) now[i] = carried[i];
        for (int m = 0; m < readouts; m++) {
          const float slope = a->dy ? FLOATS(a->dy)[at * readouts + m] : 0;
          addScaled(slope, C + (long)m * n, n, now);
          addScaled(slope, xs + (long)(t + 1) * n, n, dC + (long)m * n);
        }
        addScaled(FLOATS(a->u)[at], now, n, dB);
        if (a->du) {
          float* du = FLOATS(a->du) + at;
          *du = (a->accumulate & 1 ? *du : 0) + dotRow(B, now, n);
        }
        combineRows(now, 1, A, n, n, carried, 0);
      }
      for (int i = 0; i < n; i++) combineRows(g + i, n, xs, length, n, dA + (long)i * n, 1);
      if (a->dState) {
        float* dState = FLOATS(a->dState) + row;
        for (int i = 0; i < n; i++) dState[i] = (a->accumulate & 16 ? dState[i] : 0) + carried[i];
      }
    }
  }
}
