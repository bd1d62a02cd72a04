// The bilinear transform of a dense A, a channel a task. Forward: elimination with partial pivoting of
// [I − αΔA | I + (1−α)ΔA | ΔB] in double, since I − αΔA of a HiPPO matrix of N states has entries up to Δ N². Backward: two
// products in float with M⁻¹ = (1−α) I + αĀ; what a channel adds to its A, B goes through scratch, and a second pass adds
// the channels of an A up, in their order.
// Traffic: 2 N² floats a channel forward, 4 N² backward, beside N³ operations on what a cache holds.
#include "denseScan.h"

typedef struct {
  ref A, B, delta, Abar, Bbar, scratch;
  int32_t pass, ssms, channels, N;
  float alpha;
} Discretize;

// row[j] −= factor · pivot[j] for from ≤ j < width.
INLINE void eliminate(double* row, const double* pivot, double factor, int from, int width) {
  for (int j = from; j < width; j++) row[j] -= factor * pivot[j];
}

KERNEL(discretize) {
  const Discretize* a = arguments;
  const int n = a->N, width = 2 * n + 1;
  double* M = (double*)FLOATS(a->scratch) + (long)thread * n * width;
  for (int c = begin; c < end; c++) {
    const long ssm = (long)c * a->ssms / a->channels;
    const float* A = FLOATS(a->A) + ssm * n * n;
    const float* B = FLOATS(a->B) + ssm * n;
    const double delta = FLOATS(a->delta)[c], alpha = a->alpha;
    for (int i = 0; i < n; i++) {
      double* row = M + (long)i * width;
      for (int j = 0; j < n; j++) {
        const double step = delta * A[(long)i * n + j];
        row[j] = (i == j) - alpha * step;
        row[n + j] = (i == j) + (1 - alpha) * step;
      }
      row[2 * n] = delta * B[i];
    }
    for (int k = 0; k < n; k++) {
      int pivot = k;
      for (int i = k + 1; i < n; i++) {
        if (__builtin_fabs(M[(long)i * width + k]) > __builtin_fabs(M[(long)pivot * width + k])) pivot = i;
      }
      double *top = M + (long)k * width, *chosen = M + (long)pivot * width;
      for (int j = k; j < width && chosen != top; j++) {
        const double swapped = top[j];
        top[j] = chosen[j];
        chosen[j] = swapped;
      }
      for (int i = k + 1; i < n; i++) {
        double* row = M + (long)i * width;
        const double factor = row[k] / top[k];
        eliminate(row, top, factor, k + 1, width);
      }
    }
    for (int k = n - 1; k >= 0; k--) {
      double* row = M + (long)k * width;
      for (int i = k + 1; i < n; i++) eliminate(row, M + (long)i * width, row[i], n, width);
      for (int j = n; j < width; j++) row[j] /= row[k];
      for (int j = 0; j < n; j++) FLOATS(a->Abar)[((long)c * n + k) * n + j] = row[n + j];
      FLOATS(a->Bbar)[(long)c * n + k] = row[2 * n];
    }
  }
}

typedef struct {
  ref A, B, delta, Abar, Bbar, dAbar, dBbar, dA, dB, dDelta;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, ssms, channels, N;
  float alpha;
} DiscretizeBackward;

// Scratch: for each channel Δ E (N, N) and Δ w (N), then for each thread M⁻¹, M⁻ᵀ and dĀ M⁻ᵀ.
INLINE float* partialOf(const DiscretizeBackward* a, char* base, int c) {
  return FLOATS(a->scratch) + (long)c * a->N * (a->N + 1);
}

static void discretizeChannel(const DiscretizeBackward* a, char* base, int c, int thread) {
  const int n = a->N, square = n * n;
  const float alpha = a->alpha, delta = FLOATS(a->delta)[c];
  const float* Abar = FLOATS(a->Abar) + (long)c * square;
  float *E = partialOf(a, base, c), *w = E + square;
  float* inverse = partialOf(a, base, a->channels) + (long)thread * 3 * square;
  float *back = inverse + square, *inner = back + square;
  for (int i = 0; i < square; i++) inverse[i] = alpha * Abar[i] + (i % (n + 1) == 0 ? 1 - alpha : 0);
  transposeMatrix(inverse, n, back);
  for (int i = 0; i < n; i++) w[i] = 0;
  if (a->dBbar) combineRows(FLOATS(a->dBbar) + (long)c * n, 1, inverse, n, n, w, 0);
  for (int i = 0; i < square; i++) E[i] = 0;
  if (a->dAbar) {
    const float* dAbar = FLOATS(a->dAbar) + (long)c * square;
    for (int i = 0; i < n; i++) combineRows(dAbar + (long)i * n, 1, back, n, n, inner + (long)i * n, 0);
    for (int i = 0; i < n; i++) combineRows(inverse + i, n, inner, n, n, E + (long)i * n, 0);
  }
  for (int i = 0; i < n; i++) addScaled(alpha * w[i], FLOATS(a->Bbar) + (long)c * n, n, E + (long)i * n);
  if (a->dDelta) {
    const long ssm = (long)c * a->ssms / a->channels;
    const float sum = dotRow(FLOATS(a->A) + ssm * square, E, square) + dotRow(FLOATS(a->B) + ssm * n, w, n);
    float* dDelta = FLOATS(a->dDelta) + c;
    *dDelta = (a->accumulate & 4 ? *dDelta : 0) + sum;
  }
  for (int i = 0; i < square + n; i++) E[i] *= delta;
}

// Adds up `size` numbers of each channel of an A, from `offset` on in what it left in scratch.
static void sumChannels(const DiscretizeBackward* a, char* base, int ssm, ref to, int offset, int size, int adds) {
  if (!to) return;
  const int each = a->channels / a->ssms, width = a->N * (a->N + 1);
  const float* from = partialOf(a, base, ssm * each) + offset;
  sumBlocks(from, each, width, FLOATS(to) + (long)ssm * size, size, adds, 0, (size + COLUMNS - 1) / COLUMNS);
}

KERNEL(discretizeBackward) {
  const DiscretizeBackward* a = arguments;
  const int square = a->N * a->N;
  for (int task = begin; task < end; task++) {
    if (a->pass == 0) {
      discretizeChannel(a, base, task, thread);
    } else {
      sumChannels(a, base, task, a->dA, 0, square, a->accumulate & 1);
      sumChannels(a, base, task, a->dB, square, a->N, a->accumulate & 2);
    }
  }
}
