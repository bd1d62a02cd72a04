// What every CPU kernel may use. One source, no libc, built three times: VB = vector bytes, 16 for wasm SIMD128
// (and NEON), 32 for AVX2, 64 for AVX-512. GCC and Clang vector extensions, but for the shims of this file.
//
// Determinism: contraction is off (-ffp-contract=off); a fused multiply-add is written `fma_`. Every sum that a kernel
// forms has an order that depends on the sizes of one sequence only: not on threads, tasks, batch or chunks.
#pragma once
#include <stdint.h>

#ifdef __wasm__
#include <wasm_simd128.h>
#define VB 16
#define FN(name) name
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#include <immintrin.h>
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define FN(name) JOIN(name, SUFFIX)
#define EXPORT(name) __attribute__((visibility("hidden")))
#endif
#define LANES (VB / 4)

// A kernel does tasks begin ≤ i < end of an entry; what a task is, table.ts says. Arguments are a struct of 32-bit
// fields in the order of the op: a `ref` for each buffer, then scratch and pass, then the sizes.
#define KERNEL(name) void FN(name)(char* base, const void* arguments, int begin, int end, int thread)
typedef void (*kernel_t)(char* base, const void* arguments, int begin, int end, int thread);

typedef uint32_t ref;  // byte offset from base; 0: the optional buffer was not given
// In wasm base is 0, and adding to a null pointer is undefined: clang concludes that no optional buffer is ever given.
#ifdef __wasm__
#define AT(r) ((char*)(uintptr_t)(r))
#else
#define AT(r) (base + (r))
#endif
#define FLOATS(r) ((r) ? (float*)AT(r) : (float*)0)
#define INTS(r) ((r) ? (int32_t*)AT(r) : (int32_t*)0)

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

typedef float vf __attribute__((vector_size(VB)));
typedef int32_t vi __attribute__((vector_size(VB)));
typedef float vfu __attribute__((vector_size(VB), aligned(4), may_alias));

INLINE vf load(const float* p) { return *(const vfu*)p; }
INLINE void store(float* p, vf v) { *(vfu*)p = v; }
INLINE vf splat(float x) { return x - (vf){0}; }

// 0, 1, 2, …
INLINE vi laneIndex(void) {
  vi v;
  UNROLL for (int i = 0; i < LANES; i++) v[i] = i;
  return v;
}

// The first n < LANES floats at p; the other lanes are 0. And storing them alone.
#if VB == 64
INLINE vf loadPart(const float* p, int n) { return (vf)_mm512_maskz_loadu_ps((1u << n) - 1, p); }
INLINE void storePart(float* p, vf v, int n) { _mm512_mask_storeu_ps(p, (1u << n) - 1, (__m512)v); }
#elif VB == 32
INLINE vf loadPart(const float* p, int n) { return (vf)_mm256_maskload_ps(p, (__m256i)(laneIndex() < n)); }
INLINE void storePart(float* p, vf v, int n) { _mm256_maskstore_ps(p, (__m256i)(laneIndex() < n), (__m256)v); }
#else
INLINE vf loadPart(const float* p, int n) {
  vf v = {0};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
INLINE void storePart(float* p, vf v, int n) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}
#endif

// a b + c, rounded once where the machine can.
#if VB == 64
INLINE vf fma_(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif VB == 32
INLINE vf fma_(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__wasm_relaxed_simd__)
INLINE vf fma_(vf a, vf b, vf c) { return __builtin_wasm_relaxed_madd_f32x4(a, b, c); }
#else
INLINE vf fma_(vf a, vf b, vf c) { return a * b + c; }
#endif

#if VB == 64
INLINE vf squareRoot(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif VB == 32
INLINE vf squareRoot(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#else
INLINE vf squareRoot(vf x) { return (vf)wasm_f32x4_sqrt((v128_t)x); }
#endif

// mask lanes are all ones or all zeros.
INLINE vf where(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }
// The larger and the smaller; where either is NaN, x. (Written with a comparison, clang 22 makes a relaxed_max of it,
// which may lose a NaN: https://github.com/llvm/llvm-project/pull/177968; and gcc makes three instructions.)
#if VB == 64
INLINE vf atLeast(vf x, vf low) { return (vf)_mm512_max_ps((__m512)low, (__m512)x); }
INLINE vf atMost(vf x, vf high) { return (vf)_mm512_min_ps((__m512)high, (__m512)x); }
#elif VB == 32
INLINE vf atLeast(vf x, vf low) { return (vf)_mm256_max_ps((__m256)low, (__m256)x); }
INLINE vf atMost(vf x, vf high) { return (vf)_mm256_min_ps((__m256)high, (__m256)x); }
#else
INLINE vf atLeast(vf x, vf low) { return (vf)wasm_f32x4_pmax((v128_t)x, (v128_t)low); }
INLINE vf atMost(vf x, vf high) { return (vf)wasm_f32x4_pmin((v128_t)x, (v128_t)high); }
#endif
INLINE vf absolute(vf x) { return (vf)((vi)x & 0x7fffffff); }

// Combines the lanes, always in the same order: halves of halves until one is left.
typedef float v4f __attribute__((vector_size(16)));
typedef union {
  vf whole;
  v4f quarter[LANES / 4];
} Quarters;

INLINE float sumLanes(vf v) {
  const Quarters q = {v};
#if VB == 64
  const v4f s = (q.quarter[0] + q.quarter[2]) + (q.quarter[1] + q.quarter[3]);
#elif VB == 32
  const v4f s = q.quarter[0] + q.quarter[1];
#else
  const v4f s = q.quarter[0];
#endif
  return (s[0] + s[2]) + (s[1] + s[3]);
}

// The largest lane; NaN may be left out. (In wasm, choosing between two scalars would be a branch.)
#ifdef __wasm__
INLINE float maxLanes(vf v) {
  v = atLeast(v, (vf)wasm_i32x4_shuffle((v128_t)v, (v128_t)v, 2, 3, 0, 1));
  v = atLeast(v, (vf)wasm_i32x4_shuffle((v128_t)v, (v128_t)v, 1, 0, 3, 2));
  return v[0];
}
#else
INLINE float maxLanes(vf v) {
  float s[LANES];
  store(s, v);
  UNROLL for (int width = LANES / 2; width > 0; width /= 2) {
    UNROLL for (int i = 0; i < width; i++) s[i] = MAX(s[i], s[i + width]);
  }
  return s[0];
}
#endif
