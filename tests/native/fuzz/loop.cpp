// Coverage-guided fuzzer of the native library, for compilers without libFuzzer. Inputs that reach a new edge of the code
// are kept and mutated further.
//
//   fuzz LIBRARY SECONDS [SEED]   the library is built with -fsanitize=address,undefined -fsanitize-coverage=trace-pc
//   fuzz LIBRARY --replay FILE    the current input is always in LIBRARY.last-input, also after a crash
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <map>
#include <random>

#include "problems.h"

namespace {

constexpr size_t INPUT_BYTES = 256;
constexpr unsigned MAX_SECONDS = 60;  // for one input, before it counts as hanging
constexpr int EDGE_BITS = 22;

uint8_t seen[1 << EDGE_BITS];
uint64_t before = 0;
int64_t edges = 0;

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

struct Kept {
  std::vector<uint8_t> bytes;
  double seconds;
};

struct Fuzzer {
  const Library library;
  std::mt19937_64 random;
  std::vector<Kept> kept;
  std::map<std::string, int64_t> outcomes;
  int64_t executions = 0;

  uint64_t below(uint64_t count) { return random() % count; }

  void run(const std::vector<uint8_t>& bytes) {
    using Try = int64_t (*)(Bytes&, const Library&);
    constexpr struct {
      const char* name;
      Try go;
    } KINDS[] = {{"recurrence", try_recurrence}, {"training", try_training}, {"blocks", try_blocks},
                 {"spans", try_spans},           {"sizes", try_sizes}};
    Bytes in{bytes.data(), bytes.size()};
    const auto& kind = KINDS[in.byte() % 5];
    before = 0;
    alarm(MAX_SECONDS);
    const int64_t outcome = kind.go(in, library);
    constexpr const char* NAMES[] = {"done", "wrong problem", "wrong id", "wrong span", "wrong label"};
    CHECK(outcome >= 0 && (outcome & 0xFF) < 5);
    outcomes[std::string(kind.name) + ": " + NAMES[outcome & 0xFF]]++;
    executions++;
  }

  // Return a mutation of a kept input, the faster one of two.
  std::vector<uint8_t> next() {
    if (kept.empty() || !below(64)) {
      std::vector<uint8_t> bytes(INPUT_BYTES);
      for (uint8_t& each : bytes) each = uint8_t(random());
      return bytes;
    }
    const Kept &one = kept[below(kept.size())], &other = kept[below(kept.size())];
    std::vector<uint8_t> bytes = (one.seconds < other.seconds ? one : other).bytes;
    for (uint64_t change = 1 + below(4); change > 0; change--) {
      uint8_t& at = bytes[below(below(2) ? 48 : bytes.size())];  // the first bytes have most effect
      switch (below(4)) {
        case 0:
          at = uint8_t(random());
          break;
        case 1:
          at ^= 1 << below(8);
          break;
        case 2:
          at += below(2) ? 1 : -1;
          break;
        default: {
          const std::vector<uint8_t>& from = kept[below(kept.size())].bytes;
          const size_t first = below(bytes.size()), count = below(bytes.size() - first);
          memcpy(bytes.data() + first, from.data() + first, count);
        }
      }
    }
    return bytes;
  }
};

}  // namespace

extern "C" void __sanitizer_cov_trace_pc() {
  const uint64_t here = (uint64_t)__builtin_return_address(0) * 0x9E3779B97F4A7C15u;
  uint8_t& edge = seen[(here ^ before) >> (64 - EDGE_BITS)];
  before = here >> 1;
  edges += !edge;
  edge = 1;
}

int main(int count, char** words) {
  if (count < 3) return fprintf(stderr, "usage: fuzz LIBRARY (SECONDS [SEED] | --replay FILE)\n"), 2;
  const bool replay = !strcmp(words[2], "--replay");
  Fuzzer fuzzer{Library(words[1]), std::mt19937_64(count > 3 && !replay ? atoi(words[3]) : 1), {}, {}};
  if (replay) {
    std::vector<uint8_t> bytes(INPUT_BYTES);
    FILE* file = count > 3 ? fopen(words[3], "rb") : nullptr;
    CHECK(file && fread(bytes.data(), 1, bytes.size(), file) == bytes.size());
    fuzzer.run(bytes);
    return fclose(file);
  }
  const std::string path = std::string(words[1]) + ".last-input";
  const int file = open(path.c_str(), O_RDWR | O_CREAT, 0644);
  CHECK(file >= 0 && !ftruncate(file, INPUT_BYTES));
  void* last = mmap(nullptr, INPUT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  CHECK(last != MAP_FAILED);

  const double start = now(), end = start + atof(words[2]);
  double reported = start;
  for (double began = start; began < end;) {
    const std::vector<uint8_t> bytes = fuzzer.next();
    memcpy(last, bytes.data(), INPUT_BYTES);
    const int64_t known = edges;
    fuzzer.run(bytes);
    const double ended = now();
    if (edges > known) fuzzer.kept.push_back({bytes, ended - began});
    began = ended;
    if (ended < end && ended - reported < 30) continue;
    printf("%.0f s: %ld executions, %ld edges, %zu inputs kept\n", ended - start, fuzzer.executions, edges,
           fuzzer.kept.size());
    fflush(stdout);
    reported = ended;
  }
  for (const auto& [name, number] : fuzzer.outcomes) printf("  %s: %ld\n", name.c_str(), number);
  printf("instruction sets:");
  for (const std::string& set : fuzzer.library.sets) printf(" %s", set.c_str());
  printf("\n");
  return 0;
}
