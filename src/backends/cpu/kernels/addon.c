// The native door to the kernels: a Node-API addon with no libc and no threads of its own. It is given the address of
// the shared memory once and then only numbers: worker threads call `run` exactly as they call the wasm build's.
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdint.h>

typedef void (*run_t)(char*, uint32_t, int, uint32_t, int, int);
extern void runProgram_avx2(char*, uint32_t, int, uint32_t, int, int);
extern void runProgram_avx512(char*, uint32_t, int, uint32_t, int, int);

extern uint32_t kernelListHash_avx2(void);

static char* base;  // one shared memory a process
static run_t runProgram;

static napi_value attach(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value view;
  void* data = 0;
  napi_get_cb_info(env, info, &count, &view, 0, 0);
  if (napi_get_typedarray_info(env, view, 0, 0, &data, 0, 0) == napi_ok) base = data;
  return 0;
}

static napi_value run(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value v[5];
  uint32_t program, control;
  int32_t entries, thread, threads;
  napi_get_cb_info(env, info, &count, v, 0, 0);
  napi_get_value_uint32(env, v[0], &program);
  napi_get_value_int32(env, v[1], &entries);
  napi_get_value_uint32(env, v[2], &control);
  napi_get_value_int32(env, v[3], &thread);
  napi_get_value_int32(env, v[4], &threads);
  runProgram(base, program, entries, control, thread, threads);
  return 0;
}

static napi_value listHash(napi_env env, napi_callback_info info) {
  napi_value result;
  napi_create_uint32(env, kernelListHash_avx2(), &result);
  return result;
}

static void add(napi_env env, napi_value exports, const char* name, napi_callback function) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, 0, &value);
  napi_set_named_property(env, exports, name, value);
}

// choose(most): takes the widest kernels of at most `most` lanes that this processor runs. Returns their lanes: 16 with
// AVX-512, 8 with AVX2, 0 when there are none.
static napi_value choose(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value v, result;
  int32_t most = 16, lanes = 0;
  napi_get_cb_info(env, info, &count, &v, 0, 0);
  napi_get_value_int32(env, v, &most);
  __builtin_cpu_init();
  if (most >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    lanes = 16;
    runProgram = runProgram_avx512;
  } else if (most >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    lanes = 8;
    runProgram = runProgram_avx2;
  }
  napi_create_int32(env, lanes, &result);
  return result;
}

NAPI_MODULE_INIT() {
  add(env, exports, "attach", attach);
  add(env, exports, "choose", choose);
  add(env, exports, "kernelListHash", listHash);
  add(env, exports, "run", run);
  return exports;
}
