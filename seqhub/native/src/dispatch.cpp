// Detection of the instruction sets that the processor and the operating system support.
#include <string.h>

#include "problem.h"

extern "C" EXPORTED int seqhub_abi_version() { return ABI_VERSION; }

extern "C" EXPORTED int seqhub_has(const char* name) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  if (!strcmp(name, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma");
  if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return !strcmp(name, "baseline");
}
