// A channel block is 16 channels, a cache line of y; a row of the table lies a vocabulary away from the next, so each
// number read or added to is a cache line of its own (gathered by token first in a small vocabulary's gradient).
// Forward: a task is a channel block of 256 tokens. Backward: a channel block of all tokens in their order, so that
// nobody shares a sum. Slow where 16 rows of the table outgrow the caches.
#include "rows.h"

enum { CHANNELS = 16, TOKENS = 256, SMALL = 256 };

typedef struct {
  ref ids, table, y, scratch;
  int32_t pass, tokens, dModel, vocabulary;
} Embedding;

KERNEL(embedding) {
  const Embedding* a = arguments;
  const int32_t* ids = INTS(a->ids);
  const int channelBlocks = (a->dModel + CHANNELS - 1) / CHANNELS;
  for (int task = begin; task < end; task++) {
    const int channel = task % channelBlocks * CHANNELS, token = task / channelBlocks * TOKENS;
    const int channels = MIN(CHANNELS, a->dModel - channel);
    const float* table = FLOATS(a->table) + (long)channel * a->vocabulary;
    for (int t = token; t < MIN(token + TOKENS, a->tokens); t++) {
      const int known = (uint32_t)ids[t] < (uint32_t)a->vocabulary;
      float* y = FLOATS(a->y) + (long)t * a->dModel + channel;
      for (int d = 0; d < channels; d++) y[d] = known ? table[(long)d * a->vocabulary + ids[t]] : __builtin_nanf("");
    }
  }
}

typedef struct {
  ref ids, table, y, dy, dIds, dTable;
  uint32_t accumulate;
  ref scratch;
  int32_t pass, tokens, dModel, vocabulary;
} EmbeddingBackward;

// Sums a channel block by token in a table of its own, on the stack, whose columns then go to dTable.
INLINE void addColumns(const EmbeddingBackward* a, char* base, int channel, int channels, float* dTable) {
  const int32_t* ids = INTS(a->ids);
  const int vocabulary = a->vocabulary, adds = a->accumulate & 2;
  float sums[SMALL * CHANNELS];
  for (int i = 0; i < vocabulary * CHANNELS; i++) sums[i] = 0;
  for (int t = 0; t < a->tokens; t++) {
    if ((uint32_t)ids[t] >= (uint32_t)vocabulary) continue;
    const float* dy = FLOATS(a->dy) + (long)t * a->dModel + channel;
    float* sum = sums + ids[t] * CHANNELS;
    for (int d = 0; d < channels; d += LANES) store(sum + d, load(sum + d) + loadUpTo(dy + d, channels - d));
  }
  for (int d = 0; d < channels; d++, dTable += vocabulary) {
    for (int i = 0; i < vocabulary; i++) {
      const float sum = sums[i * CHANNELS + d];
      dTable[i] = adds ? dTable[i] + sum : sum;
    }
  }
}

KERNEL(embeddingBackward) {
  const EmbeddingBackward* a = arguments;
  if (!a->dTable) return;
  const int32_t* ids = INTS(a->ids);
  for (int channel = begin * CHANNELS; channel < MIN(end * CHANNELS, a->dModel); channel += CHANNELS) {
    const int channels = MIN(CHANNELS, a->dModel - channel);
    float* dTable = FLOATS(a->dTable) + (long)channel * a->vocabulary;
    if (a->vocabulary <= SMALL) {
      addColumns(a, base, channel, channels, dTable);
      continue;
    }
    if (!(a->accumulate & 2)) {
      for (long i = 0; i < (long)channels * a->vocabulary; i++) dTable[i] = 0;
    }
    for (int t = 0; t < a->tokens; t++) {
      if ((uint32_t)ids[t] >= (uint32_t)a->vocabulary) continue;
      const float* dy = FLOATS(a->dy) + (long)t * a->dModel + channel;
      for (int d = 0; d < channels; d++) dTable[(long)d * a->vocabulary + ids[t]] += dy[d];
    }
  }
}
