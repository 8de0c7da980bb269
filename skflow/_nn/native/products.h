// Products. For such small matrices these are as fast as a library's, or faster.

#pragma once

#include "vectors.h"

// Rows of a block of a product: with two vectors each they have to fit into the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
#define BLOCK_ROWS 12
#else
#define BLOCK_ROWS 6
#endif

namespace {

// A block of R x (2 or 1 vectors) of c = a b (+ bias), or c += a b; element (i, k) of a stands at
// a[i * row + k * column].
template <class T, int R, int NV>
INLINE void block(int64_t depth, const T* a, int64_t row, int64_t column, const T* b,
                  int64_t b_stride, T* c, int64_t c_stride, const T* bias, bool add, int width) {
    constexpr int W = lanes<T>();
    Vec<T> sums[R][NV];
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++) sums[i][j] = all(bias ? bias[i] : T(0));
    for (int64_t k = 0; k < depth; k++) {
        Vec<T> values[NV];
#pragma GCC unroll 2
        for (int j = 0; j < NV; j++) values[j] = load(b + k * b_stride + j * W);
#pragma GCC unroll 16
        for (int i = 0; i < R; i++) {
            const Vec<T> factor = all(a[i * row + k * column]);
#pragma GCC unroll 2
            for (int j = 0; j < NV; j++) sums[i][j] += factor * values[j];
        }
    }
    if (width == NV * W) {
#pragma GCC unroll 16
        for (int i = 0; i < R; i++)
#pragma GCC unroll 2
            for (int j = 0; j < NV; j++) {
                T* p = c + i * c_stride + j * W;
                store(p, add ? load(p) + sums[i][j] : sums[i][j]);
            }
    } else {  // the last columns of a matrix that is not padded
#pragma GCC unroll 16
        for (int i = 0; i < R; i++)
            for (int j = 0; j < width; j++) {
                T* p = c + i * c_stride + j;
                *p = add ? *p + sums[i][0][j] : sums[i][0][j];
            }
    }
}

template <class T, int NV>
void panel(int64_t n_rows, int64_t depth, const T* a, int64_t row, int64_t column, const T* b,
           int64_t b_stride, T* c, int64_t c_stride, const T* bias, bool add, int width) {
    int64_t i = 0;
#define BLOCK(R)                                                                              \
    block<T, R, NV>(depth, a + i * row, row, column, b, b_stride, c + i * c_stride, c_stride, \
                    bias ? bias + i : nullptr, add, width)
    for (; i + BLOCK_ROWS <= n_rows; i += BLOCK_ROWS) BLOCK(BLOCK_ROWS);
#if BLOCK_ROWS > 6
    for (; i + 6 <= n_rows; i += 6) BLOCK(6);
#endif
    for (; i + 3 <= n_rows; i += 3) BLOCK(3);
    for (; i < n_rows; i++) BLOCK(1);
#undef BLOCK
}

// b has whole vectors in its rows; c may end before them.
template <class T>
void product(int64_t n_rows, int64_t n_columns, int64_t depth, const T* a, int64_t row,
             int64_t column, const T* b, int64_t b_stride, T* c, int64_t c_stride, const T* bias,
             bool add) {
    constexpr int W = lanes<T>();
    int64_t j = 0;
    for (; j + 2 * W <= n_columns; j += 2 * W)
        panel<T, 2>(n_rows, depth, a, row, column, b + j, b_stride, c + j, c_stride, bias, add,
                    2 * W);
    for (; j < n_columns; j += W) {
        const int64_t left = n_columns - j;
        panel<T, 1>(n_rows, depth, a, row, column, b + j, b_stride, c + j, c_stride, bias, add,
                    left < W ? (int)left : W);
    }
}

}  // namespace
