// Training calls for models of compiled cells. Compiled once per instruction set, whose name ISA is part of the symbols.
#include "train_compiled_cells.h"

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

extern "C" {
// Like seqhub_train_scratch and seqhub_train.
EXPORTED int64_t JOIN(seqhub_compiled_train_scratch, ISA)(const TrainProblem* f, const CompiledModel* model) {
  return with_compiled_trainer(*f, *model, [](const auto& trainer) { return trainer.scratch_bytes(); });
}
EXPORTED int64_t JOIN(seqhub_compiled_train, ISA)(const TrainProblem* f, const CompiledModel* model) {
  return without_subnormals(
      [=] { return with_compiled_trainer(*f, *model, [](const auto& trainer) { return trainer(); }); });
}
}
