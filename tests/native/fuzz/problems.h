// Helpers for fuzz tests: random inputs from bytes, buffers of exact size, the library, and checks.
#pragma once
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "../../../seqhub/native/src/memory_blocks.h"

#define CHECK(condition)                                                  \
  if (!(condition)) {                                                    \
    fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
    abort();                                                        \
  }

// Bytes of an input, read in order and followed by zeros. An input of zeros is a small valid problem.
struct Bytes {
  const uint8_t* at;
  size_t left;

  int64_t byte() { return left ? left--, *at++ : 0; }
  int64_t below(int64_t count) { return (byte() + 256 * byte()) % count; }
  bool flag() { return byte() & 1; }
  int64_t size(int64_t small, int64_t large) {  // in 1 .. small, rarely up to large
    const int64_t first = byte();
    return first < 245 ? 1 + first % small : 1 + below(large);
  }
  template <class... All>
  int64_t one_of(All... all) {
    const int64_t values[] = {int64_t(all)...};
    return values[byte() % sizeof...(all)];
  }
};

// Random numbers in (-1, 1).
struct Random {
  uint64_t state;
  double operator()() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return double(int64_t(state)) / 9.3e18;
  }
};

// Buffer of exactly `count` items, initially NaN or -1. Null if it does not exist.
struct Buffer {
  std::unique_ptr<char, decltype(&free)> memory{nullptr, free};
  size_t bytes = 0;

  Buffer() = default;
  Buffer(bool there, int64_t count, int64_t size) : bytes(there ? count * size : 0) {
    if (!there) return;
    memory.reset((char*)malloc(bytes));
    CHECK(memory);
    memset(memory.get(), 0xFF, bytes);
  }
  template <class T = char>
  T* at() const {
    return (T*)memory.get();
  }
  std::string copy() const { return {memory.get(), bytes}; }
};

// Buffer of floating-point numbers of either type.
struct Numbers : Buffer {
  bool is_double = false;
  int64_t count = 0;

  Numbers() = default;
  Numbers(bool there, int64_t many, bool wide)
      : Buffer(there, many, wide ? 8 : 4), is_double(wide), count(there ? many : 0) {}
  void put(int64_t n, double x) const { is_double ? at<double>()[n] = x : at<float>()[n] = float(x); }
  void draw(Random& random, double scale) const {
    for (int64_t n = 0; n < count; n++) put(n, scale * random());
  }
  bool finite(int64_t from, int64_t many) const {
    for (int64_t n = from; n < from + many && n < count; n++)
      if (!isfinite(is_double ? at<double>()[n] : at<float>()[n])) return false;
    return true;
  }
  bool finite() const { return finite(0, count); }
};

struct Library {
  void* handle;
  std::vector<std::string> sets;

  explicit Library(const char* path) : handle(dlopen(path, RTLD_NOW)) {
    if (!handle) fprintf(stderr, "%s\n", dlerror()), exit(2);
    const auto has = (int (*)(const char*))dlsym(handle, "seqhub_has");
    for (const char* name : {"baseline", "avx2", "avx512"})
      if (has(name) && dlsym(handle, (std::string("seqhub_forward_") + name).c_str())) sets.push_back(name);
  }
  void* find(const std::string& name) const {
    void* found = dlsym(handle, ("seqhub_" + name).c_str());
    CHECK(found);
    return found;
  }
  int64_t call(const char* name, const std::string& set, const void* problem) const {
    return ((int64_t(*)(const void*))find(std::string(name) + "_" + set))(problem);
  }
};

constexpr int64_t TOO_LARGE = int64_t(1) << 31;  // for every dimension

// Set a random first step and length of the real steps of a row, an invalid one if `wrong`; return whether it is valid.
inline bool random_span(Bytes& in, int64_t steps, bool wrong, int64_t& first, int64_t& length) {
  length = 1 + in.byte() % steps;
  first = steps > length ? in.byte() % (steps - length + 1) : 0;
  if (!wrong) return true;
  if (in.flag())
    length = in.one_of(0, -1, steps + 1, INT64_MAX, INT64_MIN);
  else
    first = in.one_of(-1, steps, steps - length + 1, INT64_MAX, INT64_MIN);
  return false;
}

// Each function makes a problem from the bytes, calls the library, checks the results and returns the outcome.
int64_t try_recurrence(Bytes& in, const Library& library);
int64_t try_sizes(Bytes& in, const Library& library);
int64_t try_training(Bytes& in, const Library& library);
int64_t try_blocks(Bytes& in, const Library& library);
int64_t try_spans(Bytes& in, const Library& library);
