// A task is as many rows as make about 4096 elements. A row is read twice (forward) or once (backward), from memory once
// if it fits the cache. The losses of the rows go through scratch and are added in a second pass, in order, in double.
// Traffic: forward 1, backward 2 floats an element.
#include "softmax.h"

typedef struct {
  ref logits, targets, loss, logsumexp, scale, scratch;
  int32_t pass, rows, vocabulary, ignore;
} CrossEntropy;

KERNEL(crossEntropyRows) {
  const CrossEntropy* a = arguments;
  const int n = a->vocabulary, rows = rowsOfTask(n);
  const int32_t* targets = INTS(a->targets);
  for (int row = begin * rows; row < MIN(end * rows, a->rows); row++) {
    const int target = targets[row];
    if (target == a->ignore) {
      FLOATS(a->logsumexp)[row] = 0;
      continue;
    }
    const float* logits = FLOATS(a->logits) + (long)row * n;
    const float most = maxRow(logits, n);
    const float logsumexp = most + log_(splat(sumExpRow(logits, n, most)))[0];
    const int known = (uint32_t)target < (uint32_t)n;
    FLOATS(a->logsumexp)[row] = logsumexp;
    FLOATS(a->scratch)[row] = known ? logsumexp - logits[target] : __builtin_nanf("");
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
    const float logsumexp = FLOATS(a->logsumexp)[row];
    const vf share = splat(known ? factor : __builtin_nanf(""));
    for (int j = 0; j < n; j += LANES) {
      const vf d = share * expBelow(loadUpTo(logits + j, n - j), logsumexp);
      storeUpTo(dLogits + j, adds ? loadUpTo(dLogits + j, n - j) + d : d, n - j);
    }
    if (known) dLogits[target] -= factor;
  }
}
