// Selective scan, backward. The forward pass leaves h at the start of every 16 steps, and nothing else; a task takes
// these chunks from the last to the first. For each vector of channels and each four states it recomputes h and the
// decays of a chunk into the first-level cache and runs the adjoint back over them.
// A task is a run of blocks of 64 channels in one group of one sequence. dB and dC are sums over channels: vectors
// are added up over a block, then their lanes, then the blocks of the task, and in a second pass the tasks. dA, dD and
// dΔbias are sums over time, then in a third pass over the batch. These orders depend on dInner and groups alone.
#include "selectiveScan.h"

typedef struct {
  ScanRefs refs;
  ref dy, dLast, dChunks, du, dDelta, dA, dB, dC, dD, dz, dDeltaBias, dInitial, dResets;
  uint32_t accumulate;
  ref scratch;
  ScanSizes sizes;
} SelectiveScanBackward;

// Tasks of one group of one sequence, at most. Also in selectiveScan.ts.
enum { BACK_TASKS = 8 };

INLINE int backTasks(const Scan* s) { return MIN(scanBlocks(s), BACK_TASKS); }
INLINE int roundUp(int n, int to) { return (n + to - 1) / to * to; }

// The scratch. tokens: per task and step, dB and dC (width each). parameters: per sequence, dA (dState, dInner), dD
// and dΔbias (dInner). Of each thread, for a block of channels: the adjoint (dState, 64), and dB and dC of a chunk
// before their lanes are added (16, width).
typedef struct {
  float *tokens, *parameters, *adjoint;
  vf *dB, *dC;
  int width, perTask, perSequence;
} ScanScratch;

INLINE ScanScratch openScratch(const Scan* s, float* scratch, int batch, int thread) {
  const int width = roundUp(s->dState, 16), perTask = 2 * s->length * width;
  const int perSequence = roundUp((s->dState + 2) * s->dInner, 16);
  const int adjoint = s->dState * SCAN_CHANNELS, lanes = SCAN_STEPS * width * LANES;
  float* parameters = scratch + (long)batch * s->groups * backTasks(s) * perTask;
  float* own = parameters + (long)batch * perSequence + (long)thread * (adjoint + 2 * lanes);
  vf* dB = (vf*)(own + adjoint);
  vf* dC = dB + SCAN_STEPS * width;
  return (ScanScratch){scratch, parameters, own, dB, dC, width, perTask, perSequence};
}

// One chunk of one vector of channels, and what is known of its steps.
typedef struct {
  int row, steps, d, lanes;
  const int32_t* resets;
  vf delta[SCAN_STEPS], input[SCAN_STEPS], slope[SCAN_STEPS];  // Δ′, Δ′ u, dΔ′/dΔ
  vf sum[SCAN_STEPS], ds[SCAN_STEPS], dGate[SCAN_STEPS];       // s = Σ C h + D u, ∂L/∂s, and ∂L/∂z for s = 1
  vf dInput[SCAN_STEPS], dDelta[SCAN_STEPS];                   // ∂L/∂(Δ′ u), and ∂L/∂Δ′ through the decays
} BackChunk;

INLINE int resetAt(const BackChunk* c, int t) { return c->resets && c->resets[t]; }

// Vector v of a block, from step t on.
INLINE void openChunk(const Scan* s, const ScanBlock* block, int t, int v, BackChunk* c) {
  c->row = block->b * s->length + t;
  c->steps = MIN(SCAN_STEPS, s->length - t);
  c->d = block->first + v * LANES;
  c->lanes = block->count - v * LANES;
  c->resets = s->resets ? s->resets + c->row : 0;
  for (int i = 0; i < c->steps; i++) {
    const int at = (c->row + i) * s->dInner + c->d;
    vf delta = scanDelta(s, at, c->d, c->lanes), slope = splat(1);
    if (s->softplus) {
      const vf e = exp_(-absolute(delta));
      slope = where(delta < 0, e, splat(1)) / (e + 1.0f);
      delta = atLeast(delta, splat(0)) + log1p_(e);
    }
    c->delta[i] = delta;
    c->slope[i] = slope;
    c->input[i] = c->delta[i] * loadUpTo(s->u + at, c->lanes);
  }
}

#define EACH UNROLL for (int i = 0; i < count; i++)

// ∂L/∂h, or 0 where it is too small to matter. Without an outer gradient it decays to the smallest subnormal and rests
// there, at a hundred times the price of an operation on CPUs that handle subnormals in microcode; only native programs
// can tell the CPU to flush them.
INLINE vf dropTiny(vf g) { return where(absolute(g) < 1e-24f, splat(0), g); }

// The adjoint of `count` states through a chunk. at: h at its start, rows dInner apart; g: ∂L/∂h at its end, and then at its start.
INLINE void adjointStates(const Scan* s, BackChunk* c, const float* A, const float* B, const float* C,
                          const float* at, float* g, float* dA, vf* dB, vf* dC, int width, const int count) {
  vf h[SCAN_STEPS + 1][SCAN_STATES], decay[SCAN_STEPS][SCAN_STATES];  // h[t]: before step t
  vf a[SCAN_STATES], rate[SCAN_STATES], adjoint[SCAN_STATES], sumA[SCAN_STATES];
  const int next = s->groups * s->dState;
  EACH h[0][i] = loadUpTo(at + i * s->dInner, c->lanes);
  EACH a[i] = loadUpTo(A + i * s->dInner, c->lanes);
  EACH rate[i] = a[i] * splat(LOG2E);
  for (int t = 0; t < c->steps; t++, B += next, C += next) {
    vf sum = c->sum[t];
    scanDecays(decay[t], c->delta[t], rate, count);
    EACH {
      const vf before = resetAt(c, t) ? splat(0) : h[t][i];
      h[t + 1][i] = fma_(decay[t][i], before, c->input[t] * splat(B[i]));
      sum = fma_(h[t + 1][i], splat(C[i]), sum);
    }
    c->sum[t] = sum;
  }
  EACH adjoint[i] = dropTiny(load(g + i * SCAN_CHANNELS));
  EACH sumA[i] = loadUpTo(dA + i * s->dInner, c->lanes);
  for (int t = c->steps - 1; t >= 0; t--) {
    B -= next, C -= next;
    const vf ds = c->ds[t], input = c->input[t], delta = c->delta[t];
    vf dInput = c->dInput[t], dDelta = c->dDelta[t], *toB = dB + t * width, *toC = dC + t * width;
    EACH {
      adjoint[i] = fma_(ds, splat(C[i]), adjoint[i]);
      toC[i] = fma_(h[t + 1][i], ds, toC[i]);
      toB[i] = fma_(adjoint[i], input, toB[i]);
      dInput = fma_(adjoint[i], splat(B[i]), dInput);
    }
    c->dInput[t] = dInput;
    if (resetAt(c, t)) {
      EACH adjoint[i] = splat(0);
      continue;
    }
    EACH {
      adjoint[i] *= decay[t][i];
      const vf carried = adjoint[i] * h[t][i];
      dDelta = fma_(carried, a[i], dDelta);
      sumA[i] = fma_(carried, delta, sumA[i]);
    }
    c->dDelta[t] = dDelta;
  }
  EACH store(g + i * SCAN_CHANNELS, adjoint[i]);
  EACH storeUpTo(dA + i * s->dInner, sumA[i], c->lanes);
}
#undef EACH

// A gradient: where it goes, if anywhere, and whether it is added to what is there.
typedef struct {
  float* to;
  int adds;
} Gradient;

INLINE void give(Gradient gradient, int at, vf v, int lanes) {
  if (!gradient.to) return;
  storeUpTo(gradient.to + at, gradient.adds ? loadUpTo(gradient.to + at, lanes) + v : v, lanes);
}

typedef struct {
  Scan s;
  ScanScratch scratch;
  const float *chunks, *dy, *dLast;
  Gradient du, dDelta, dz, dInitial;
} Back;

// What step i of the chunk before will read and write: its rows are far apart in memory.
INLINE void prefetchStep(const Back* k, const BackChunk* c, int i) {
  const int64_t at = (int64_t)(c->row - SCAN_STEPS + i) * k->s.dInner + c->d;
  const float* rows[] = {k->s.u, k->s.delta, k->s.z, k->dy, k->du.to, k->dDelta.to, k->dz.to};
  UNROLL for (int r = 0; r < 7; r++) if (rows[r]) __builtin_prefetch(rows[r] + at);
}

// What is known of s and its gradient before the states are.
INLINE void openGate(const Back* k, BackChunk* c) {
  const Scan* s = &k->s;
  const vf D = s->D ? loadUpTo(s->D + c->d, c->lanes) : splat(0);
  for (int i = 0; i < c->steps; i++) {
    const int at = (c->row + i) * s->dInner + c->d;
    vf ds = k->dy ? loadUpTo(k->dy + at, c->lanes) : splat(0);
    prefetchStep(k, c, i);
    if (s->z) {
      const vf z = loadUpTo(s->z + at, c->lanes), sigmoid = sigmoid_(z), gate = z * sigmoid;
      c->dGate[i] = ds * (sigmoid * (1.0f + z - gate));
      ds *= gate;
    }
    c->ds[i] = ds;
    c->sum[i] = D * loadUpTo(s->u + at, c->lanes);
    c->dInput[i] = c->dDelta[i] = splat(0);
  }
}

// du, dΔ, dz, and what D and Δbias get. dD: at channel d, and dΔbias dInner further.
INLINE void closeChunk(const Back* k, const BackChunk* c, float* dD) {
  const Scan* s = &k->s;
  const vf D = s->D ? loadUpTo(s->D + c->d, c->lanes) : splat(0);
  vf sumD = loadUpTo(dD, c->lanes), sumBias = loadUpTo(dD + s->dInner, c->lanes);
  for (int i = c->steps - 1; i >= 0; i--) {
    const int at = (c->row + i) * s->dInner + c->d;
    const vf u = loadUpTo(s->u + at, c->lanes), dDelta = fma_(u, c->dInput[i], c->dDelta[i]) * c->slope[i];
    sumD = fma_(u, c->ds[i], sumD);
    sumBias += dDelta;
    give(k->du, at, fma_(c->delta[i], c->dInput[i], D * c->ds[i]), c->lanes);
    give(k->dDelta, at, dDelta, c->lanes);
    if (s->z) give(k->dz, at, c->dGate[i] * c->sum[i], c->lanes);
  }
  storeUpTo(dD, sumD, c->lanes);
  storeUpTo(dD + s->dInner, sumBias, c->lanes);
}

// Everything of vector v in the chunk of step t, back from its end.
static void backVector(const Back* k, const ScanBlock* block, int t, int v) {
  const Scan* s = &k->s;
  const ScanScratch* x = &k->scratch;
  BackChunk c;
  openChunk(s, block, t, v, &c);
  openGate(k, &c);
  const int bc = (c.row * s->groups + block->g) * s->dState;
  const float *A = s->A + c.d, *B = s->B + bc, *C = s->C + bc;
  const float* at = k->chunks + scanKept(s, block->b, t, c.d);
  float *g = x->adjoint + v * LANES, *dA = x->parameters + block->b * x->perSequence + c.d;
  int n = 0;
  for (; n + SCAN_STATES <= s->dState; n += SCAN_STATES) {
    const int nd = n * s->dInner, own = n * SCAN_CHANNELS;
    adjointStates(s, &c, A + nd, B + n, C + n, at + nd, g + own, dA + nd, x->dB + n, x->dC + n, x->width,
                  SCAN_STATES);
  }
  for (; n < s->dState; n++) {
    const int nd = n * s->dInner, own = n * SCAN_CHANNELS;
    adjointStates(s, &c, A + nd, B + n, C + n, at + nd, g + own, dA + nd, x->dB + n, x->dC + n, x->width, 1);
  }
  closeChunk(k, &c, dA + s->dState * s->dInner);
}

// ∂L/∂h after the last step, and no sums yet.
INLINE void openBlock(const Back* k, const ScanBlock* block) {
  const Scan* s = &k->s;
  const ScanScratch* x = &k->scratch;
  float* parameters = x->parameters + block->b * x->perSequence + block->first;
  for (int v = 0; v < scanVectors(block); v++) {
    const int c = v * LANES, lanes = block->count - c;
    for (int n = 0; n < s->dState; n++) {
      const int at = (block->b * s->dState + n) * s->dInner + block->first + c, own = n * SCAN_CHANNELS + c;
      store(x->adjoint + own, k->dLast ? loadUpTo(k->dLast + at, lanes) : splat(0));
    }
    for (int n = 0; n < s->dState + 2; n++) storeUpTo(parameters + n * s->dInner + c, splat(0), lanes);
  }
}

// Adds the lanes of dB and dC of a chunk, and them to those of the blocks before.
INLINE void closeTokens(const Scan* s, const ScanScratch* x, float* to, int steps, int adds) {
  for (int i = 0; i < steps; i++, to += 2 * x->width) {
    for (int n = 0; n < s->dState; n++) {
      const float dB = sumLanes(x->dB[i * x->width + n]), dC = sumLanes(x->dC[i * x->width + n]);
      to[n] = adds ? to[n] + dB : dB;
      to[x->width + n] = adds ? to[x->width + n] + dC : dC;
    }
  }
}

static void backBlock(const Back* k, const ScanBlock* block, float* tokens, int adds) {
  const Scan* s = &k->s;
  const ScanScratch* x = &k->scratch;
  const int vectors = scanVectors(block);
  openBlock(k, block);
  for (int t = (s->length - 1) / SCAN_STEPS * SCAN_STEPS; t >= 0; t -= SCAN_STEPS) {
    const int steps = MIN(SCAN_STEPS, s->length - t);
    for (int i = 0; i < steps * x->width; i++) x->dB[i] = x->dC[i] = splat(0);
    for (int v = 0; v < vectors; v++) backVector(k, block, t, v);
    closeTokens(s, x, tokens + t * 2 * x->width, steps, adds);
  }
  for (int n = 0; n < s->dState; n++) {
    for (int c = 0; c < block->count; c += LANES) {
      const int at = (block->b * s->dState + n) * s->dInner + block->first + c;
      give(k->dInitial, at, load(x->adjoint + n * SCAN_CHANNELS + c), block->count - c);
    }
  }
}

#define GRADIENT(name, bit) ((Gradient){FLOATS(a->name), a->accumulate >> bit & 1})

KERNEL(selectiveScanBackward) {
  const SelectiveScanBackward* a = arguments;
  const Scan s = openScan(base, &a->refs, &a->sizes);
  const Back k = {s, openScratch(&s, FLOATS(a->scratch), a->sizes.batch, thread), FLOATS(a->refs.chunks), FLOATS(a->dy), FLOATS(a->dLast),
                  GRADIENT(du, 0), GRADIENT(dDelta, 1), GRADIENT(dz, 6), GRADIENT(dInitial, 8)};
  const int tasks = backTasks(&s), blocks = scanBlocks(&s);
  for (int i = begin; i < end; i++) {
    const int task = i % tasks, g = i / tasks % s.groups, b = i / tasks / s.groups;
    const int first = task * blocks / tasks, last = (task + 1) * blocks / tasks;
    for (int j = first; j < last; j++) {
      const ScanBlock block = scanBlock(&s, b, g, j);
      backBlock(&k, &block, k.scratch.tokens + (long)i * k.scratch.perTask, j > first);
    }
  }
}

// dB, dC: the sum of the tasks' parts. A task is 64 steps of one group of one sequence.
KERNEL(selectiveScanBackwardTokens) {
  const SelectiveScanBackward* a = arguments;
  const Scan s = openScan(base, &a->refs, &a->sizes);
  const ScanScratch x = openScratch(&s, FLOATS(a->scratch), a->sizes.batch, thread);
  const Gradient dB = GRADIENT(dB, 3), dC = GRADIENT(dC, 4);
  const int parts = backTasks(&s), blocks = roundUp(s.length, 64) / 64;
  for (int i = begin; i < end; i++) {
    const int bg = i / blocks, g = bg % s.groups, b = bg / s.groups, from = i % blocks * 64;
    for (int t = from; t < MIN(from + 64, s.length); t++) {
      const int at = ((b * s.length + t) * s.groups + g) * s.dState;
      for (int n = 0; n < s.dState; n += LANES) {
        vf sumB = splat(0), sumC = splat(0);
        const float* part = x.tokens + (long)bg * parts * x.perTask + t * 2 * x.width + n;
        for (int p = 0; p < parts; p++, part += x.perTask) {
          sumB += load(part);
          sumC += load(part + x.width);
        }
        give(dB, at + n, sumB, s.dState - n);
        give(dC, at + n, sumC, s.dState - n);
      }
    }
  }
}

// dA, dD and dΔbias: the sum over the batch. A task is 32 numbers of each.
KERNEL(selectiveScanBackwardParameters) {
  const SelectiveScanBackward* a = arguments;
  const Scan s = openScan(base, &a->refs, &a->sizes);
  const ScanScratch x = openScratch(&s, FLOATS(a->scratch), a->sizes.batch, thread);
  const Gradient gradients[] = {GRADIENT(dA, 2), GRADIENT(dD, 5), GRADIENT(dDeltaBias, 7)};
  const int sizes[] = {s.dState * s.dInner, s.dInner, s.dInner};
  const float* from = x.parameters;
  for (int i = 0; i < 3; from += sizes[i++]) {
    const Gradient d = gradients[i];
    if (d.to) sumBlocks(from, a->sizes.batch, x.perSequence, d.to, sizes[i], d.adds, begin, end);
  }
}
