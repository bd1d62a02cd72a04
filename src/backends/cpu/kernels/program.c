// Runs a program: a list of entries, each one kernel on its arguments. All threads walk the same list. The tasks of an
// entry are claimed in blocks, first come first served, so a thread that is held up by another process delays
// nobody; which thread does a task never changes a bit of the result.
#include "kernel.h"

enum { BARRIER = 1, SERIAL = 2 };

typedef struct {
  uint32_t kernel;  // index in the table
  ref arguments;
  int32_t tasks;
  int32_t grain;  // tasks claimed at a time
  uint32_t flags;  // BARRIER: wait for all entries before; SERIAL: for the first thread alone
  int32_t next;    // first task not yet claimed
} Entry;

// Shared by all threads of a pool; the words before these belong to pool.ts.
typedef struct {
  int32_t pool[8];
  int32_t mayBlock;  // 0 on a page's main thread, which may only spin
  int32_t arrived;
  int32_t generation;
} Control;

#define DECLARE(name) KERNEL(name);
KERNEL_LIST(DECLARE)
#define ADDRESS(name) FN(name),
static const kernel_t kernels[] = {KERNEL_LIST(ADDRESS)};

// A thread that waits polls for some ten microseconds, then gives its core to others. wasm cannot yield: it sleeps until
// it is woken, or for a millisecond.
#ifdef __wasm__
enum { POLLS = 20000 };
INLINE void relax(void) {}
INLINE void rest(Control* control, int generation) {
  if (control->mayBlock) __builtin_wasm_memory_atomic_wait32(&control->generation, generation, 1000000);
}
INLINE void wake(Control* control) { __builtin_wasm_memory_atomic_notify((int*)&control->generation, -1); }
#else
enum { POLLS = 4000 };
extern int sched_yield(void);
INLINE void relax(void) { _mm_pause(); }
INLINE void rest(Control* control, int generation) { sched_yield(); }
INLINE void wake(Control* control) {}
#endif

static void barrier(Control* control, int threads) {
#ifndef SINGLE_THREAD
  const int generation = __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE);
  if (__atomic_add_fetch(&control->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
    __atomic_store_n(&control->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&control->generation, generation + 1, __ATOMIC_RELEASE);
    wake(control);
    return;
  }
  for (int polls = 0; __atomic_load_n(&control->generation, __ATOMIC_ACQUIRE) == generation; polls++) {
    if (polls < POLLS) relax();
    else rest(control, generation);
  }
#endif
}

// Names the kernel list that this build was made from: TypeScript compares it with its own.
EXPORT(kernelListHash)
uint32_t FN(kernelListHash)(void) { return KERNEL_LIST_HASH; }

static void walk(char* base, ref program, int count, ref controlAt, int thread, int threads) {
  Entry* entries = (Entry*)AT(program);
  Control* control = (Control*)AT(controlAt);
  for (int i = 0; i < count; i++) {
    Entry* entry = &entries[i];
    const kernel_t kernel = kernels[entry->kernel];
    const void* arguments = AT(entry->arguments);
    if (threads == 1) {
      kernel(base, arguments, 0, entry->tasks, 0);
      continue;
    }
    if (entry->flags & BARRIER) barrier(control, threads);
    if (entry->flags & SERIAL) {
      if (thread == 0) kernel(base, arguments, 0, entry->tasks, 0);
      continue;
    }
    for (;;) {
      const int begin = __atomic_fetch_add(&entry->next, entry->grain, __ATOMIC_RELAXED);
      if (begin >= entry->tasks) break;
      kernel(base, arguments, begin, MIN(begin + entry->grain, entry->tasks), thread);
    }
  }
  if (threads == 1) return;
  barrier(control, threads);
  if (thread == 0) {
    for (int i = 0; i < count; i++) entries[i].next = 0;
  }
}

EXPORT(runProgram)
void FN(runProgram)(char* base, ref program, int count, ref controlAt, int thread, int threads) {
#ifdef __wasm__
  walk(base, program, count, controlAt, thread, threads);
#else
  // States and adjoints that die away would linger as subnormal numbers, on which some processors are many times
  // slower. Results that small are made 0 while a program runs; wasm has no such switch.
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | _MM_FLUSH_ZERO_ON);
  walk(base, program, count, controlAt, thread, threads);
  _mm_setcsr(mode);
#endif
}
