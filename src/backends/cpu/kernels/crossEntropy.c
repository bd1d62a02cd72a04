// A task is as many rows as make about 4096 elements. A row is read twice (forward) or once (backward), from memory
// once if it fits the cache. The losses of the rows go through scratch and are added in a second pass, in order, in
// double. Traffic: forward 1, backward 2 floats an element.
#include "softmax.h"

typedef struct {
  ref logits, targets, loss, logsumexp, scale, scratch;
  int32_t pass, rows, vocabulary, ignore;
} CrossEntropy;

KERNEL(crossEntropyRows) {
  const CrossEntropy* a = arguments;
  const int n = a->vocabulary, rows = rowsOfTask(n), last = MIN(end * rows, a->rows);
  const int32_t* targets = INTS(a->targets);
  for (int first = begin * rows; first < last; first += LANES) {
    const int count = MIN(LANES, last - first);
    const float* logits = FLOATS(a->logits) + (long)first * n;
    float most[LANES] = {0}, sums[LANES] = {0}, logsumexp[LANES];
    for (int k = 0; k < count; k++) {
      if (targets[first + k] != a->ignore) most[k] = maxRow(logits + (long)k * n, n);
    }
    for (int k = 0; k < count; k++) {
      if (targets[first + k] != a->ignore) sums[k] = sumExpRow(logits + (long)k * n, n, splat(most[k]));
    }
    store(logsumexp, load(most) + log_(load(sums)));
    for (int k = 0; k < count; k++) {
      const int target = targets[first + k], known = (uint32_t)target < (uint32_t)n;
      FLOATS(a->logsumexp)[first + k] = target == a->ignore ? 0 : logsumexp[k];
      FLOATS(a->scratch)[first + k] = known ? logsumexp[k] - logits[(long)k * n + target] : __builtin_nanf("");
    }
  }
}

KERNEL(crossEntropy) {
  const CrossEntropy* a = arguments;
  const int32_t* targets = INTS(a->targets);
  const float* losses = FLOATS(a->scratch);
  double sum = 0;
  int counted = 0;
  for (int row = 0; row < a->rows; row++) {
    if (targets[row] == a->ignore) continue;
    sum += losses[row];
    counted++;
  }
  FLOATS(a->loss)[0] = counted ? sum / counted : 0;
  FLOATS(a->scale)[0] = counted ? 1.0 / counted : 0;
}

typedef struct {
  ref logits, targets, loss, logsumexp, scale, dLoss, dLogsumexp, dScale, dLogits, dTargets;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, rows, vocabulary, ignore;
} CrossEntropyBackward;

INLINE void shareOut(const float* logits, float* dLogits, vf share, vf logsumexp, int adds, int part) {
  const vf d = share * expBelow(loadUpTo(logits, part), logsumexp);
  storeUpTo(dLogits, adds ? loadUpTo(dLogits, part) + d : d, part);
}

KERNEL(crossEntropyBackward) {
  const CrossEntropyBackward* a = arguments;
  if (!a->dLogits) return;
  const int n = a->vocabulary, rows = rowsOfTask(n), adds = a->accumulate & 1;
  const int32_t* targets = INTS(a->targets);
  const float factor = a->dLoss ? FLOATS(a->dLoss)[0] * FLOATS(a->scale)[0] : 0;
  for (int row = begin * rows; row < MIN(end * rows, a->rows); row++) {
    const int target = targets[row];
    const int known = (uint32_t)target < (uint32_t)n;
    float* dLogits = FLOATS(a->dLogits) + (long)row * n;
    if (target == a->ignore) {
      if (!adds) for (int j = 0; j < n; j++) dLogits[j] = 0;
      continue;
    }
    const float* logits = FLOATS(a->logits) + (long)row * n;
    const vf logsumexp = splat(FLOATS(a->logsumexp)[row]);
    const vf share = splat(known ? factor : __builtin_nanf(""));
    int j = 0;
    for (; j + LANES <= n; j += LANES) shareOut(logits + j, dLogits + j, share, logsumexp, adds, LANES);
    if (j < n) shareOut(logits + j, dLogits + j, share, logsumexp, adds, n - j);
    if (known) dLogits[target] -= factor;
  }
}
