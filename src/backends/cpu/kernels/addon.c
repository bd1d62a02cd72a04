// The native door to the kernels: a Node-API addon with no libc, no threads and no state of its own. It tells where a
// shared memory lies and then is given only numbers: worker threads call `run` exactly as they call the wasm build's.
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdint.h>

extern void runProgram_avx2(char*, uint32_t, int, uint32_t, int, int);
extern void runProgram_avx512(char*, uint32_t, int, uint32_t, int, int);

extern uint32_t kernelListHash_avx2(void);

// address(memory): where it lies, to be handed to run.
static napi_value address(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value view, result;
  void* data = 0;
  napi_get_cb_info(env, info, &count, &view, 0, 0);
  napi_get_typedarray_info(env, view, 0, 0, &data, 0, 0);
  napi_create_double(env, (double)(uintptr_t)data, &result);  // addresses have 48 bits
  return result;
}

// run(address, lanes, program, entries, control, thread, threads)
static napi_value run(napi_env env, napi_callback_info info) {
  size_t count = 7;
  napi_value v[7];
  double base;
  uint32_t program, control;
  int32_t lanes, entries, thread, threads;
  napi_get_cb_info(env, info, &count, v, 0, 0);
  napi_get_value_double(env, v[0], &base);
  napi_get_value_int32(env, v[1], &lanes);
  napi_get_value_uint32(env, v[2], &program);
  napi_get_value_int32(env, v[3], &entries);
  napi_get_value_uint32(env, v[4], &control);
  napi_get_value_int32(env, v[5], &thread);
  napi_get_value_int32(env, v[6], &threads);
  char* memory = (char*)(uintptr_t)base;
  if (lanes == 16) runProgram_avx512(memory, program, entries, control, thread, threads);
  else runProgram_avx2(memory, program, entries, control, thread, threads);
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

// lanes(most): floats in a vector of the widest kernels of at most `most` that this processor runs: 16 with AVX-512,
// 8 with AVX2, 0 when there are none.
static napi_value lanes(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value v, result;
  int32_t most = 16, found = 0;
  napi_get_cb_info(env, info, &count, &v, 0, 0);
  napi_get_value_int32(env, v, &most);
  __builtin_cpu_init();
  if (most >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    found = 16;
  } else if (most >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found = 8;
  }
  napi_create_int32(env, found, &result);
  return result;
}

NAPI_MODULE_INIT() {
  add(env, exports, "address", address);
  add(env, exports, "kernelListHash", listHash);
  add(env, exports, "lanes", lanes);
  add(env, exports, "run", run);
  return exports;
}
