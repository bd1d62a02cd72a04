// A channel block is 16 channels, a cache line of y; a row of the table lies a vocabulary away from the next, so each
// number read or added to is a cache line of its own. Forward: a task is a channel block of 256 tokens. Backward: a task
// is a channel block of all tokens in their order, so nobody shares a sum. Slow only where the table outgrows the caches.
#include "kernel.h"

enum { CHANNELS = 16, TOKENS = 256 };

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

KERNEL(embeddingBackward) {
  const EmbeddingBackward* a = arguments;
  if (!a->dTable) return;
  const int32_t* ids = INTS(a->ids);
  for (int channel = begin * CHANNELS; channel < MIN(end * CHANNELS, a->dModel); channel += CHANNELS) {
    const int channels = MIN(CHANNELS, a->dModel - channel);
    float* dTable = FLOATS(a->dTable) + (long)channel * a->vocabulary;
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
