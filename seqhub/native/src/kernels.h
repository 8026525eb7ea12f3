// Functions of a cell, as values, so that the code around them is compiled once for all cells.
#pragma once
#include "problem.h"
#include "small_batch.h"

namespace {

template <class S>
struct Kernels {
  CellSizes sizes;
  // for one block, by its number of vectors of sequences minus one
  void (*forward[2])(const Pass<S>&, const Trace<S>&, int64_t from, int64_t to);
  void (*backward[2])(const Pass<S>&, const Trace<S>&, int64_t from, int64_t to, const S* d_out, S* dh, S* dc, S* d_sums);
  void (*input_back[2])(const Weights<S>&, const S* weights, const S* d_sums, int64_t width, S* result);
  // for small batches, by the number of sequences minus one
  void (*forward_few[SMALL_BATCH])(const SmallBatchPass<S>&, int64_t from, int64_t to);
  void (*backward_few[SMALL_BATCH])(const SmallBatchPass<S>&, int64_t from, int64_t to, const Scalars<S>* d_out, S* const* dh,
                                    S* const* dc, S* const* d_sums);
  void (*input_back_one)(const SmallBatchPass<S>&, const S* weights, S* const* d_sums, S* const* result);
  void (*accumulate_few)(const SmallBatchPass<S>&, int count, const int64_t* steps, const S* const* d_sums,
                         const SmallBatchWeights<S>& gradients);
};

template <class S, class C>
constexpr Kernels<S> KERNELS{
    CELL_SIZES<C>,
    {Scan<S, C, 1>::forward, Scan<S, C, 2>::forward},
    {Scan<S, C, 1>::backward, Scan<S, C, 2>::backward},
    {ProductsBack<S, typename C::Sizes, 1>::to_input, ProductsBack<S, typename C::Sizes, 2>::to_input},
    {SmallBatchScan<S, C, 1>::forward, SmallBatchScan<S, C, 2>::forward, SmallBatchScan<S, C, 3>::forward,
     SmallBatchScan<S, C, 4>::forward},
    {SmallBatchScan<S, C, 1>::backward, SmallBatchScan<S, C, 2>::backward, SmallBatchScan<S, C, 3>::backward,
     SmallBatchScan<S, C, 4>::backward},
    SmallBatchScan<S, typename C::Sizes, 1>::input_back,
    SmallBatchGradients<S, typename C::Sizes>::accumulate,
};

template <class S>
const Kernels<S>* kernels_of(int64_t cell) {
  switch (cell) {
    case RNN_TANH:
      return &KERNELS<S, Rnn<S, false>>;
    case RNN_RELU:
      return &KERNELS<S, Rnn<S, true>>;
    case GRU:
      return &KERNELS<S, Gru<S>>;
    case LSTM:
      return &KERNELS<S, Lstm<S>>;
    default:
      return nullptr;
  }
}

}  // namespace
