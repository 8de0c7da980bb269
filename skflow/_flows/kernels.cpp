// The hot loop of a FlowStack on a CPU: training steps, densities and inverses, model by model.
//
// The same formulas as in couplings.py, conditioners.py, layer.py and optimizers.py, which stay the
// truth that this file is tested against. Here a tile of rows goes through the whole flow while it
// is in the processor's cache, and nothing is allocated.
//
// The file is compiled once for each instruction set, with SKFLOW_SET as the suffix of its
// functions. It needs the vector types of GCC and Clang, and nothing of the C++ library: templates
// of the library, compiled for one instruction set, could be linked into the code for another one.
//
// Tiles are feature-major, as in Python: a feature's rows lie side by side, `stride` numbers apart
// from those of the next feature. Columns that fill a tile up to whole vectors repeat its first row
// with weight 0.

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef SKFLOW_SET
#define SKFLOW_SET base
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

// Rows of a block of a product: with two vectors each they have to fit into the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
#define BLOCK_ROWS 12
#else
#define BLOCK_ROWS 6
#endif

#define INLINE inline __attribute__((always_inline))

extern "C" {

struct Layer {
    int64_t n_transformed, n_conditioning, n_linears;
    int64_t constants;    // place of the first log-scale among those of all layers
    int64_t conditioner;  // place of the first weight among a model's parameters
    const int64_t* sizes;  // of the conditioner, inputs and outputs included
    const int64_t* rows;   // (K, d): where the layer before has the features of this one
};

struct Flow {
    int64_t n_features, n_context, n_layers, n_constants, n_parameters;
    int64_t spline, tanh, n_bins, bounded_shift;
    double bound;  // of the spline's interval or of an affine log-scale
    double min_length, free_length, derivative_range, min_derivative, offset;
    const struct Layer* layers;
    const int64_t* last_rows;  // (K, d): where the last layer has every feature
    const void* seen;          // (K, c): 1 for columns of the context that a model sees, or null
    const void* theta;         // (K, P)
};

struct Steps {
    int64_t model, n_steps, batch_size, tile, first_step;
    const void *table, *weight, *context;  // (n, d), (n,) or null, (n, c) or null
    const int64_t* index;                  // of step i: batch_size numbers from i * index_stride on
    int64_t index_stride;
    const void *absent, *noise, *context_noise;  // (n_steps, batch_size, d or c) or null
    double noise_size, context_noise_size;
    const double* rates;
    double max_grad_norm;
    int64_t adam;
    double beta1, beta2, eps;
    void *theta, *mean, *square;  // the model's own, (P,)
    const void* decay;            // (P,) or null
    void* gradient;               // (P,)
    void* losses;                 // (n_steps,)
    void* memory;
};

struct Rows {
    int64_t first_model, last_model, n_rows, tile;
    int64_t inverse, add_base;
    const void *values, *context;
    int64_t values_stride, context_stride;  // from one model's rows to the next's, or 0
    void *out, *log_det;                    // (K, n, d) or null, (K, n)
    void* memory;
};

struct Gradient {
    int64_t model, n_rows, tile;
    const void *values, *weight, *context;  // the model's own; (n,) or null
    void *gradient, *loss;                  // (P,) and a number
    void* memory;
};
}

namespace {

// ---------------------------------------------------------------------------------------------
// Vectors and the functions of them

template <class T> struct Kind;

template <> struct Kind<float> {
    typedef int32_t Int;
    typedef float V __attribute__((vector_size(VECTOR_BYTES)));
    typedef int32_t I __attribute__((vector_size(VECTOR_BYTES)));
    // the same at an address that is no multiple of its size
    typedef float U __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float magic = 12582912.0f, least = -126.0f, most = 128.0f;
    static constexpr float smallest = 1.17549435e-38f, up = 16777216.0f;
    static constexpr int up_bits = 24;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    // 2^r for |r| <= 1/2, relative error 3e-9, and 2 atanh(f) / f in f^2, error 7e-10
    static INLINE V power(V r) {
        return 1.0f + r * (0.6931472067f + r * (0.2402265092f + r * (0.05550327227f
               + r * (0.009618056679f + r * (0.001340042818f + r * 0.0001546144469f)))));
    }
    static INLINE V atanh(V s) {
        return 2.0f + s * (0.6666666524f + s * (0.4000038585f + s * (0.2853497625f
               + s * 0.2361781136f)));
    }
};

template <> struct Kind<double> {
    typedef int64_t Int;
    typedef double V __attribute__((vector_size(VECTOR_BYTES)));
    typedef int64_t I __attribute__((vector_size(VECTOR_BYTES)));
    typedef double U __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double magic = 6755399441055744.0, least = -1022.0, most = 1024.0;
    static constexpr double smallest = 2.2250738585072014e-308, up = 18014398509481984.0;
    static constexpr int up_bits = 54;
    static constexpr double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
    // relative errors 4e-18 and 8e-21
    static INLINE V power(V r) {
        return 1.0 + r * (0.6931471805599453093 + r * (0.2402265069591015957
               + r * (0.05550410866482162704 + r * (0.009618129107587256668
               + r * (0.00133335581464064707 + r * (0.0001540353046372435421
               + r * (0.00001525273384155677259 + r * (1.321543253591237617e-6
               + r * (1.01780570877339411e-7 + r * (7.074194297288521006e-9
               + r * 4.455817908336064493e-10))))))))));
    }
    static INLINE V atanh(V s) {
        return 2.0 + s * (0.6666666666666665832 + s * (0.4000000000000754746
               + s * (0.2857142856880311641 + s * (0.2222222267926122356
               + s * (0.1818177355492124399 + s * (0.153871688430400763
               + s * (0.1324858575655671081 + s * 0.1326370996722279452)))))));
    }
};

template <class T> using Vec = typename Kind<T>::V;
template <class T> using IntVec = typename Kind<T>::I;
template <class T> constexpr int lanes() { return VECTOR_BYTES / sizeof(T); }

constexpr double LOG2_E = 1.44269504088896340736;

template <class T> INLINE Vec<T> all(T value) { return value - Vec<T>{}; }
template <class T> INLINE Vec<T> load(const T* p) {
    return *reinterpret_cast<const typename Kind<T>::U*>(p);
}
template <class T> INLINE void store(T* p, Vec<T> v) {
    *reinterpret_cast<typename Kind<T>::U*>(p) = v;
}

template <class T> INLINE T sum(Vec<T> v) {
    T total = 0;
    for (int i = 0; i < lanes<T>(); i++) total += v[i];
    return total;
}

// NaN stays NaN in all of these: it tells that a model has diverged.

template <class T> INLINE Vec<T> exp2_of(Vec<T> x) {
    typedef Kind<T> N;
    x = x < N::least ? all(N::least) : x;
    x = x > N::most ? all(N::most) : x;
    // adding the magic number rounds to an integer, which then stands in the lowest bits
    const Vec<T> shifted = x + N::magic;
    const Vec<T> r = x - (shifted - N::magic);
    const IntVec<T> exponent = ((IntVec<T>)shifted + N::bias) << N::mantissa;
    return N::power(r) * (Vec<T>)exponent;
}

template <class T> INLINE Vec<T> log_of(Vec<T> x) {
    typedef Kind<T> N;
    typedef typename N::Int Int;
    const IntVec<T> small = x < N::smallest;
    const Vec<T> y = small ? x * N::up : x;
    const Int one = (Int)N::bias << N::mantissa, rest = ((Int)1 << N::mantissa) - 1;
    IntVec<T> bits = (IntVec<T>)y;
    Vec<T> m = (Vec<T>)((bits & rest) | one);
    const IntVec<T> high = m > T(1.4142135623730951);
    m = high ? m * T(0.5) : m;
    // a small integer becomes a number as the lowest bits of the magic one
    IntVec<T> e = (bits >> N::mantissa) - N::bias - high + (small & -N::up_bits);
    const Vec<T> k = (Vec<T>)(e + (IntVec<T>)all(N::magic)) - N::magic;
    const Vec<T> f = (m - T(1)) / (m + T(1));
    const Vec<T> found = k * N::ln2_high + (f * N::atanh(f * f) + k * N::ln2_low);
    const T infinite = T(INFINITY);
    const Vec<T> outside = x < T(0) ? all(T(NAN)) : (x == T(0) ? all(-infinite) : x);
    return ((x > T(0)) & (x < infinite)) ? found : outside;
}

template <class T> INLINE Vec<T> root_of(Vec<T> x) {
    Vec<T> y = {};
    for (int i = 0; i < lanes<T>(); i++)
        y[i] = sizeof(T) == 4 ? (T)__builtin_sqrtf((float)x[i]) : (T)__builtin_sqrt((double)x[i]);
    return y;
}

template <class T> INLINE Vec<T> sigmoid_of(Vec<T> x) {
    return T(1) / (T(1) + exp2_of<T>(x * T(-LOG2_E)));
}

// ---------------------------------------------------------------------------------------------
// Products. For such small matrices these are as fast as a library's, or faster.

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

// ---------------------------------------------------------------------------------------------
// Couplings: in place on x (A features), from raw (n_parameters * A)

template <class T> struct Tile {
    int64_t columns, stride;  // columns are a multiple of a vector's lanes
};

// What a spline keeps of every value for the way back.
enum { INDEX, THETA, INSIDE, LEFT_X, LEFT_Y, SIZE_X, SIZE_Y, SCALE_X, SCALE_Y, LEVEL_0, LEVEL_1,
       N_KEPT };
constexpr int MOST_BINS = 128;

template <class T> struct Terms {
    Vec<T> rest, u, curvature, per_denominator, low, high, m;
};

template <class T> INLINE Terms<T> rational(Vec<T> theta, Vec<T> s, Vec<T> d0, Vec<T> d1) {
    Terms<T> t;
    t.rest = T(1) - theta;
    t.u = theta * t.rest;
    t.curvature = d0 + d1 - T(2) * s;
    t.per_denominator = T(1) / (s + t.curvature * t.u);
    // de Casteljau: means of positive numbers only
    t.low = t.rest * d0 + theta * s;
    t.high = t.rest * s + theta * d1;
    t.m = t.rest * t.low + theta * t.high;
    return t;
}

// The bin that holds a value of x (axis 0) or of y (axis 1).
template <class T> struct Bin {
    Vec<T> index, left[2], size[2], scale[2], level[2], x0, y0, w, h, d0, d1;
};

template <class T, int BINS, bool KEEP>
INLINE Bin<T> lookup(const Flow& flow, T* raw, int64_t step, Vec<T> value, int axis) {
    const int n = BINS ? BINS : (int)flow.n_bins;
    const T min_length = flow.min_length, bound = flow.bound;
    Vec<T> powers[2][BINS ? BINS : MOST_BINS];
    Bin<T> bin;
    for (int a = 0; a < 2; a++) {
        T* own = raw + a * n * step;
        Vec<T> most = load(own);
        for (int i = 0; i < n; i++) {
            powers[a][i] = load(own + i * step);
            most = powers[a][i] > most ? powers[a][i] : most;
        }
        Vec<T> total = {};
        for (int i = 0; i < n; i++) {
            powers[a][i] = exp2_of<T>((powers[a][i] - most) * T(LOG2_E));
            total += powers[a][i];
            if (KEEP) store(own + i * step, powers[a][i]);
        }
        bin.scale[a] = T(flow.free_length) / total;
        bin.left[a] = Vec<T>{};
        bin.size[a] = powers[a][0];
    }
    const T* slopes = raw + 2 * n * step;
    // at the ends raw 0 is the derivative 1
    Vec<T> passed[2] = {Vec<T>{}, Vec<T>{}}, before = {}, after = n > 1 ? load(slopes) : Vec<T>{};
    bin.index = Vec<T>{};
    for (int i = 1; i < n; i++) {
        passed[0] += powers[0][i - 1];
        passed[1] += powers[1][i - 1];
        const T least = i * min_length - bound;
        const IntVec<T> reached = value > least + passed[axis] * bin.scale[axis];
        for (int a = 0; a < 2; a++) {
            bin.left[a] = reached ? passed[a] : bin.left[a];
            bin.size[a] = reached ? powers[a][i] : bin.size[a];
        }
        before = reached ? load(slopes + (i - 1) * step) : before;
        after = reached ? (i < n - 1 ? load(slopes + i * step) : Vec<T>{}) : after;
        bin.index = reached ? all((T)i) : bin.index;
    }
    for (int a = 0; a < 2; a++) {
        bin.left[a] *= bin.scale[a];
        bin.size[a] *= bin.scale[a];
    }
    const Vec<T> floor = bin.index * min_length - bound;
    bin.x0 = bin.left[0] + floor;
    bin.y0 = bin.left[1] + floor;
    bin.w = bin.size[0] + min_length;
    bin.h = bin.size[1] + min_length;
    bin.level[0] = sigmoid_of<T>(before + T(flow.offset));
    bin.level[1] = sigmoid_of<T>(after + T(flow.offset));
    bin.d0 = bin.level[0] * T(flow.derivative_range) + T(flow.min_derivative);
    bin.d1 = bin.level[1] * T(flow.derivative_range) + T(flow.min_derivative);
    return bin;
}

template <class T> INLINE Vec<T> clipped_to(Vec<T> x, T bound) {
    x = x < -bound ? all(-bound) : x;
    return x > bound ? all(bound) : x;
}

template <class T, int BINS, bool KEEP>
void spline_forward(const Flow& flow, int64_t n, Tile<T> tile, T* x, T* raw, T* log_det, T* kept) {
    const T bound = flow.bound;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            T* at = x + a * tile.stride + j;
            const Vec<T> value = load(at), clipped = clipped_to<T>(value, bound);
            const Bin<T> bin = lookup<T, BINS, KEEP>(flow, raw + a * tile.stride + j,
                                                     n * tile.stride, clipped, 0);
            const Vec<T> per_w = T(1) / bin.w, theta = (clipped - bin.x0) * per_w;
            const Vec<T> s = bin.h * per_w;
            const Terms<T> t = rational<T>(theta, s, bin.d0, bin.d1);
            const Vec<T> q = theta * t.low * t.per_denominator, ratio = s * t.per_denominator;
            store(at, value - clipped + bin.y0 + bin.h * q);
            store(log_det + j, load(log_det + j) + log_of<T>(ratio * ratio * t.m));
            if (KEEP) {
                T* keep = kept + a * tile.stride + j;
                const int64_t step = n * tile.stride;
                store(keep + INDEX * step, bin.index);
                store(keep + THETA * step, theta);
                store(keep + INSIDE * step, value == clipped ? all(T(1)) : Vec<T>{});
                store(keep + LEFT_X * step, bin.left[0]);
                store(keep + LEFT_Y * step, bin.left[1]);
                store(keep + SIZE_X * step, bin.size[0]);
                store(keep + SIZE_Y * step, bin.size[1]);
                store(keep + SCALE_X * step, bin.scale[0]);
                store(keep + SCALE_Y * step, bin.scale[1]);
                store(keep + LEVEL_0 * step, bin.level[0]);
                store(keep + LEVEL_1 * step, bin.level[1]);
            }
        }
}

// The equations are derived in docs/developer/spline_gradient.md; g_a is the gradient of a. The
// gradient of raw takes its place, where the forward pass has left the softmax's powers.
template <class T, int BINS>
void spline_backward(const Flow& flow, int64_t n, Tile<T> tile, T* grad, T* raw,
                     const T* grad_log_det, const T* kept) {
    const int bins = BINS ? BINS : (int)flow.n_bins;
    const int64_t step = n * tile.stride;
    const T min_length = flow.min_length, range = flow.derivative_range;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            const T* keep = kept + a * tile.stride + j;
            const Vec<T> index = load(keep + INDEX * step), theta = load(keep + THETA * step);
            const Vec<T> inside = load(keep + INSIDE * step);
            const Vec<T> left_x = load(keep + LEFT_X * step), left_y = load(keep + LEFT_Y * step);
            const Vec<T> size_x = load(keep + SIZE_X * step), size_y = load(keep + SIZE_Y * step);
            const Vec<T> level_0 = load(keep + LEVEL_0 * step);
            const Vec<T> level_1 = load(keep + LEVEL_1 * step);
            const Vec<T> w = size_x + min_length, h = size_y + min_length;
            const Vec<T> per_w = T(1) / w, s = h * per_w;
            const Vec<T> d0 = level_0 * range + T(flow.min_derivative);
            const Vec<T> d1 = level_1 * range + T(flow.min_derivative);
            const Terms<T> t = rational<T>(theta, s, d0, d1);
            const Vec<T> q = theta * t.low * t.per_denominator, ratio = s * t.per_denominator;
            const Vec<T> slope = ratio * ratio * t.m, per_m = T(1) / t.m;

            T* at = grad + a * tile.stride + j;
            const Vec<T> g = load(at), twice = T(2) * load(grad_log_det + j);
            const Vec<T> g_numerator = g * h * t.per_denominator;
            const Vec<T> g_denominator = -twice * t.per_denominator - g_numerator * q;
            const Vec<T> g_m = T(0.5) * twice * per_m;
            const Vec<T> g_d0 = t.rest * t.rest * g_m + t.u * (g_numerator + g_denominator);
            const Vec<T> g_d1 = theta * theta * g_m + t.u * g_denominator;
            // the slope's gradient by w, in which form the sizes need it
            const Vec<T> g_s = (theta * theta * g_numerator + T(2) * t.u * g_m
                                + (T(1) - T(2) * t.u) * g_denominator) * per_w + twice / h;
            const Vec<T> fall = (t.low - t.high) * per_m
                                + t.curvature * (T(1) - T(2) * theta) * t.per_denominator;
            const Vec<T> g_x0 = twice * fall * per_w - g * slope;
            const Vec<T> g_w = theta * g_x0 - g_s * s, g_h = g_s + g * q;
            store(at, inside > T(0.5) ? -g_x0 : g);

            const Vec<T> g_end_0 = g_d0 * (level_0 - level_0 * level_0) * range;
            const Vec<T> g_end_1 = g_d1 * (level_1 - level_1 * level_1) * range;
            const Vec<T> scale_x = load(keep + SCALE_X * step);
            const Vec<T> scale_y = load(keep + SCALE_Y * step);
            const Vec<T> g_left[2] = {g_x0 * scale_x, g * scale_y};
            const Vec<T> g_size[2] = {g_w * scale_x, g_h * scale_y};
            const T per_free = T(-1 / flow.free_length);
            const Vec<T> common[2] = {(left_x * g_left[0] + size_x * g_size[0]) * per_free,
                                      (left_y * g_left[1] + size_y * g_size[1]) * per_free};
            T* own = raw + a * tile.stride + j;
            for (int i = 0; i < bins; i++) {
                const IntVec<T> passed = index > T(i), here = index == T(i);
                for (int axis = 0; axis < 2; axis++) {
                    T* p = own + (axis * bins + i) * step;
                    Vec<T> part = here ? g_size[axis] : Vec<T>{};
                    part = passed ? g_left[axis] : part;
                    store(p, load(p) * (common[axis] + part));
                }
                if (i > 0) {
                    const IntVec<T> previous = index == T(i - 1);
                    Vec<T> part = here ? g_end_0 : Vec<T>{};
                    store(own + (2 * bins + i - 1) * step, previous ? g_end_1 : part);
                }
            }
        }
}

template <class T, int BINS>
void spline_inverse(const Flow& flow, int64_t n, Tile<T> tile, T* y, T* raw, T* log_det) {
    const T bound = flow.bound;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            T* at = y + a * tile.stride + j;
            const Vec<T> value = load(at), clipped = clipped_to<T>(value, bound);
            const Bin<T> bin = lookup<T, BINS, false>(flow, raw + a * tile.stride + j,
                                                      n * tile.stride, clipped, 1);
            const Vec<T> s = bin.h / bin.w, rise = clipped - bin.y0;
            // the root in [0, 1] in the form that does not cancel (Durkan's Eq. 29)
            const Vec<T> bend = (bin.d0 + bin.d1 - T(2) * s) * rise;
            const Vec<T> b = bin.h * bin.d0 - bend, first = bend + bin.h * (s - bin.d0);
            const Vec<T> c = rise * s;
            Vec<T> inner = b * b + T(4) * first * c;
            inner = inner < T(0) ? Vec<T>{} : inner;
            const Vec<T> theta = (c + c) / (root_of<T>(inner) + b);
            const Terms<T> t = rational<T>(theta, s, bin.d0, bin.d1);
            const Vec<T> ratio = s * t.per_denominator;
            store(at, value - clipped + bin.x0 + theta * bin.w);
            store(log_det + j, load(log_det + j) - log_of<T>(ratio * ratio * t.m));
        }
}

// The bounded parameters take the place of raw; the scale and the scaled value are kept.
template <class T>
void affine(const Flow& flow, int64_t n, Tile<T> tile, T* x, T* raw, T* log_det, T* kept,
            bool inverse) {
    const T most = flow.bound, steepness = T(2 / flow.bound);
    const int64_t step = n * tile.stride;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            const int64_t place = a * tile.stride + j;
            const Vec<T> log_scale = T(2) * most * sigmoid_of<T>(load(raw + place) * steepness)
                                     - most;
            Vec<T> shift = load(raw + step + place);
            if (flow.bounded_shift) shift = T(2) * most * sigmoid_of<T>(shift * steepness) - most;
            const Vec<T> scale = exp2_of<T>(log_scale * T(LOG2_E)), value = load(x + place);
            if (inverse) {
                store(x + place, (value - shift) / scale);
                store(log_det + j, load(log_det + j) - log_scale);
                continue;
            }
            const Vec<T> scaled = value * scale;
            store(x + place, scaled + shift);
            store(log_det + j, load(log_det + j) + log_scale);
            if (kept) {
                store(raw + place, log_scale);
                store(raw + step + place, shift);
                store(kept + place, scale);
                store(kept + step + place, scaled);
            }
        }
}

template <class T>
void affine_backward(const Flow& flow, int64_t n, Tile<T> tile, T* grad, T* raw,
                     const T* grad_log_det, const T* kept) {
    const T curvature = T(-1 / (flow.bound * flow.bound));
    const int64_t step = n * tile.stride;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            const int64_t place = a * tile.stride + j;
            const Vec<T> g = load(grad + place), log_scale = load(raw + place);
            const Vec<T> shift = load(raw + step + place);
            const Vec<T> whole = load(grad_log_det + j) + g * load(kept + step + place);
            store(raw + place, whole * (T(1) + curvature * log_scale * log_scale));
            store(raw + step + place, flow.bounded_shift ? g * (T(1) + curvature * shift * shift) : g);
            store(grad + place, g * load(kept + place));
        }
}

template <class T>
void coupling_forward(const Flow& flow, int64_t n, Tile<T> tile, T* x, T* raw, T* log_det,
                      T* kept) {
    if (!flow.spline) return affine<T>(flow, n, tile, x, raw, log_det, kept, false);
    // the default number of bins, known when compiled, is the faster one
    if (flow.n_bins == 8)
        kept ? spline_forward<T, 8, true>(flow, n, tile, x, raw, log_det, kept)
             : spline_forward<T, 8, false>(flow, n, tile, x, raw, log_det, kept);
    else
        kept ? spline_forward<T, 0, true>(flow, n, tile, x, raw, log_det, kept)
             : spline_forward<T, 0, false>(flow, n, tile, x, raw, log_det, kept);
}

template <class T>
void coupling_backward(const Flow& flow, int64_t n, Tile<T> tile, T* grad, T* raw,
                       const T* grad_log_det, const T* kept) {
    if (!flow.spline)
        affine_backward<T>(flow, n, tile, grad, raw, grad_log_det, kept);
    else if (flow.n_bins == 8)
        spline_backward<T, 8>(flow, n, tile, grad, raw, grad_log_det, kept);
    else
        spline_backward<T, 0>(flow, n, tile, grad, raw, grad_log_det, kept);
}

template <class T>
void coupling_inverse(const Flow& flow, int64_t n, Tile<T> tile, T* y, T* raw, T* log_det) {
    if (!flow.spline)
        affine<T>(flow, n, tile, y, raw, log_det, nullptr, true);
    else if (flow.n_bins == 8)
        spline_inverse<T, 8>(flow, n, tile, y, raw, log_det);
    else
        spline_inverse<T, 0>(flow, n, tile, y, raw, log_det);
}

// ---------------------------------------------------------------------------------------------
// Conditioners

template <class T> INLINE void activate(const Flow& flow, T* x, int64_t n) {
    if (flow.tanh)
        for (int64_t i = 0; i < n; i += lanes<T>())
            store(x + i, T(2) * sigmoid_of<T>(T(2) * load(x + i)) - T(1));
    else
        for (int64_t i = 0; i < n; i += lanes<T>()) {
            const Vec<T> v = load(x + i);
            store(x + i, v < T(0) ? Vec<T>{} : v);
        }
}

template <class T> INLINE void activate_backward(const Flow& flow, T* grad, const T* out, int64_t n) {
    for (int64_t i = 0; i < n; i += lanes<T>()) {
        const Vec<T> g = load(grad + i), y = load(out + i);
        store(grad + i, flow.tanh ? g * (T(1) - y * y) : (y <= T(0) ? Vec<T>{} : g));
    }
}

template <class T> INLINE int64_t whole(int64_t n) {
    return (n + lanes<T>() - 1) / lanes<T>() * lanes<T>();
}

// out (columns x whole(n)) is x (n x columns) transposed, filled up with zeros.
template <class T> void transpose(const T* x, int64_t n, Tile<T> tile, T* out) {
    const int64_t width = whole<T>(n);
    for (int64_t i = 0; i < n; i++) {
        const T* row = x + i * tile.stride;
        for (int64_t j = 0; j < tile.columns; j++) out[j * width + i] = row[j];
    }
    for (int64_t i = n; i < width; i++)
        for (int64_t j = 0; j < tile.columns; j++) out[j * width + i] = 0;
}

// Where everything of a tile stands in the caller's memory. Training keeps every layer's, the
// other passes use one place for all.
template <class T> struct Memory {
    struct Place {
        T *x, *input, *hidden, *raw, *kept;
    };
    T *log_det, *grad_log_det, *z, *grad, *grad_2, *grad_input, *transposed, *scales;
    T* layers;
    int64_t layer_size;  // of all but the first parts, at its most
    int64_t n_numbers;

    static INLINE int64_t n_kept(const Flow& flow) { return flow.spline ? N_KEPT : 2; }

    Memory(const Flow& flow, int64_t rows, bool training, void* memory) {
        const int64_t stride = whole<T>(rows);
        int64_t widest = flow.n_features + flow.n_context, largest = 0;
        for (int64_t l = 0; l < flow.n_layers; l++) {
            const Layer& layer = flow.layers[l];
            int64_t hidden = 0;
            for (int64_t i = 0; i <= layer.n_linears; i++) {
                if (layer.sizes[i] > widest) widest = layer.sizes[i];
                if (i > 0) hidden += layer.sizes[i];
            }
            const int64_t size = flow.n_features + layer.sizes[0] + hidden
                                 + (training ? n_kept(flow) * layer.n_transformed : 0);
            if (size > largest) largest = size;
        }
        // the caller's memory starts where whole vectors do
        T* at = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64);
        T* start = at;
        const int64_t line = 64 / sizeof(T);
        auto take = [&](int64_t n) {
            T* part = at;
            at += (n + line - 1) / line * line;
            return part;
        };
        log_det = take(stride);
        grad_log_det = take(stride);
        z = take(flow.n_features * stride);
        scales = take(2 * flow.n_constants + 2 * flow.n_features);
        grad = grad_2 = grad_input = transposed = nullptr;
        if (training) {
            grad = take(flow.n_features * stride);
            grad_2 = take(widest * stride);
            grad_input = take(widest * stride);
            transposed = take(whole<T>(widest) * stride);
        }
        layer_size = (largest * stride + line - 1) / line * line;
        layers = take(layer_size * (training ? flow.n_layers : 1));
        n_numbers = at - start + line;
    }

    INLINE Place place(const Flow& flow, int64_t l, bool training, int64_t stride) const {
        const Layer& layer = flow.layers[l];
        Place p;
        p.x = layers + (training ? l : 0) * layer_size;
        p.input = p.x + flow.n_features * stride;
        p.hidden = p.input + layer.sizes[0] * stride;
        p.raw = p.hidden;
        for (int64_t i = 1; i < layer.n_linears; i++) p.raw += layer.sizes[i] * stride;
        p.kept = training ? p.raw + layer.sizes[layer.n_linears] * stride : nullptr;
        return p;
    }
};

// The raw parameters of a coupling; returns where the first linear map has its inputs.
template <class T>
const T* conditioner(const Flow& flow, const Layer& layer, const T* theta, Tile<T> tile,
                     const typename Memory<T>::Place& p, const T* context) {
    const T* conditions = p.x + layer.n_transformed * tile.stride;
    if (context) {
        memcpy(p.input, conditions, layer.n_conditioning * tile.stride * sizeof(T));
        memcpy(p.input + layer.n_conditioning * tile.stride, context,
               flow.n_context * tile.stride * sizeof(T));
        conditions = p.input;
    }
    const T *parameters = theta + layer.conditioner, *from = conditions;
    T* to = p.hidden;
    for (int64_t i = 0; i < layer.n_linears; i++) {
        const int64_t n_in = layer.sizes[i], n_out = layer.sizes[i + 1];
        const T* bias = parameters + n_in * n_out;
        product<T>(n_out, tile.columns, n_in, parameters, n_in, 1, from, tile.stride, to,
                   tile.stride, bias, false);
        if (i + 1 < layer.n_linears) activate<T>(flow, to, n_out * tile.stride);
        parameters = bias + n_out;
        from = to;
        to += n_out * tile.stride;
    }
    return conditions;
}

// Gradients of the parameters from those of raw; adds that of the conditioning features.
template <class T>
void conditioner_backward(const Flow& flow, const Layer& layer, const T* theta, T* gradient,
                          Tile<T> tile, const typename Memory<T>::Place& p, const T* conditions,
                          const Memory<T>& memory, T* grad_conditions, bool add) {
    int64_t place = layer.conditioner, after = 0;
    for (int64_t i = 0; i < layer.n_linears; i++)
        place += (layer.sizes[i] + 1) * layer.sizes[i + 1];
    for (int64_t i = 1; i < layer.n_linears; i++) after += layer.sizes[i];
    T* grad = p.raw;
    T* next = memory.grad_2;
    const T* inputs = p.hidden + after * tile.stride;  // behind the last hidden layer
    for (int64_t i = layer.n_linears - 1; i >= 0; i--) {
        const int64_t n_in = layer.sizes[i], n_out = layer.sizes[i + 1];
        place -= (n_in + 1) * n_out;
        inputs = i ? inputs - n_in * tile.stride : conditions;
        transpose<T>(inputs, n_in, tile, memory.transposed);
        product<T>(n_out, n_in, tile.columns, grad, tile.stride, 1, memory.transposed,
                   whole<T>(n_in), gradient + place, n_in, nullptr, add);
        T* bias = gradient + place + n_in * n_out;
        for (int64_t o = 0; o < n_out; o++) {
            Vec<T> total = {};
            for (int64_t j = 0; j < tile.columns; j += lanes<T>())
                total += load(grad + o * tile.stride + j);
            bias[o] = add ? bias[o] + sum<T>(total) : sum<T>(total);
        }
        const T* weight = theta + place;
        if (i == 0) {
            product<T>(layer.n_conditioning, tile.columns, n_out, weight, 1, n_in, grad,
                       tile.stride, grad_conditions, tile.stride, nullptr, true);
            break;
        }
        product<T>(n_in, tile.columns, n_out, weight, 1, n_in, grad, tile.stride, next,
                   tile.stride, nullptr, false);
        activate_backward<T>(flow, next, inputs, n_in * tile.stride);
        grad = next;
        next = next == memory.grad_2 ? memory.grad_input : memory.grad_2;
    }
}

// ---------------------------------------------------------------------------------------------
// Tiles through the whole flow

template <class T> struct Model {
    const Flow& flow;
    int64_t k;
    const T* theta;

    INLINE int64_t n_active(const Layer& layer) const {
        return layer.n_transformed + layer.n_conditioning;
    }
    INLINE const int64_t* rows(const Layer& layer) const {
        return layer.rows + k * flow.n_features;
    }

    // Scales of the constants of all layers, forward or inverse, before any tile.
    void scales(T* out, bool inverse) const {
        for (int64_t i = 0; i < flow.n_constants; i++)
            out[i] = exp(inverse ? -theta[i] : theta[i]);
    }

    T log_scales() const {
        double total = 0;
        for (int64_t i = 0; i < flow.n_constants; i++) total += theta[i];
        return total;
    }

    // From memory.z (features in their order) to memory.z (in the last layer's order).
    void forward(const Memory<T>& memory, Tile<T> tile, const T* context, bool training) const {
        const T start = log_scales();
        for (int64_t j = 0; j < tile.columns; j++) memory.log_det[j] = start;
        for (int64_t l = 0; l < flow.n_layers; l++) {
            const Layer& layer = flow.layers[l];
            const auto p = memory.place(flow, l, training, tile.stride);
            const int64_t* from = rows(layer);
            for (int64_t i = 0; i < flow.n_features; i++)
                memcpy(p.x + i * tile.stride, memory.z + from[i] * tile.stride,
                       tile.columns * sizeof(T));
            conditioner<T>(flow, layer, theta, tile, p, context);
            coupling_forward<T>(flow, layer.n_transformed, tile, p.x, p.raw, memory.log_det,
                                p.kept);
            const T *scale = memory.scales + layer.constants,
                    *shift = theta + flow.n_constants + layer.constants;
            for (int64_t i = 0; i < flow.n_features; i++) {
                const bool active = i < n_active(layer);
                const T s = active ? scale[i] : T(1), t = active ? shift[i] : T(0);
                for (int64_t j = 0; j < tile.columns; j += lanes<T>())
                    store(memory.z + i * tile.stride + j, load(p.x + i * tile.stride + j) * s + t);
            }
        }
    }

    // From memory.z (in the last layer's order) to memory.z (features in their order).
    void inverse(const Memory<T>& memory, Tile<T> tile, const T* context) const {
        const T start = -log_scales();
        for (int64_t j = 0; j < tile.columns; j++) memory.log_det[j] = start;
        for (int64_t l = flow.n_layers - 1; l >= 0; l--) {
            const Layer& layer = flow.layers[l];
            const auto p = memory.place(flow, l, false, tile.stride);
            const T *scale = memory.scales + layer.constants,
                    *shift = theta + flow.n_constants + layer.constants;
            for (int64_t i = 0; i < flow.n_features; i++) {
                const bool active = i < n_active(layer);
                const T s = active ? scale[i] : T(1), t = active ? -shift[i] * s : T(0);
                for (int64_t j = 0; j < tile.columns; j += lanes<T>())
                    store(p.x + i * tile.stride + j, load(memory.z + i * tile.stride + j) * s + t);
            }
            conditioner<T>(flow, layer, theta, tile, p, context);
            coupling_inverse<T>(flow, layer.n_transformed, tile, p.x, p.raw, memory.log_det);
            const int64_t* to = rows(layer);
            for (int64_t i = 0; i < flow.n_features; i++)
                memcpy(memory.z + to[i] * tile.stride, p.x + i * tile.stride,
                       tile.columns * sizeof(T));
        }
    }

    // After `forward`, from memory.grad_log_det: the gradient, and the loss of the tile.
    double backward(const Memory<T>& memory, Tile<T> tile, const T* context, T* gradient,
                    bool add) const {
        const int64_t d = flow.n_features;
        double loss = 0;
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            const Vec<T> factor = load(memory.grad_log_det + j);
            Vec<T> squares = {};
            for (int64_t i = 0; i < d; i++) {
                const Vec<T> z = load(memory.z + i * tile.stride + j);
                squares += z * z;
                store(memory.grad + i * tile.stride + j, -z * factor);
            }
            const Vec<T> log_prob = load(memory.log_det + j)
                                    - T(0.5) * (squares + T(d * 1.83787706640934548356));
            loss += sum<T>(log_prob * factor);
        }
        T total = 0;
        for (int64_t j = 0; j < tile.columns; j++) total += memory.grad_log_det[j];
        for (int64_t l = flow.n_layers - 1; l >= 0; l--) {
            const Layer& layer = flow.layers[l];
            const auto p = memory.place(flow, l, true, tile.stride);
            T *g_scale = gradient + layer.constants, *g_shift = g_scale + flow.n_constants;
            const T* scale = memory.scales + layer.constants;
            for (int64_t i = 0; i < n_active(layer); i++) {
                Vec<T> shifts = {}, scales = {};
                for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
                    T* at = memory.grad + i * tile.stride + j;
                    Vec<T> g = load(at);
                    shifts += g;
                    g *= scale[i];
                    scales += load(p.x + i * tile.stride + j) * g;
                    store(at, g);
                }
                // the log-scale stands in the log-determinant, too
                g_scale[i] = (add ? g_scale[i] : T(0)) + sum<T>(scales) + total;
                g_shift[i] = (add ? g_shift[i] : T(0)) + sum<T>(shifts);
            }
            coupling_backward<T>(flow, layer.n_transformed, tile, memory.grad, p.raw,
                                 memory.grad_log_det, p.kept);
            const T* conditions = context ? p.input : p.x + layer.n_transformed * tile.stride;
            conditioner_backward<T>(flow, layer, theta, gradient, tile, p, conditions, memory,
                                    memory.grad + layer.n_transformed * tile.stride, add);
            // z is free by now: the gradient goes back to the order of the layer before
            const int64_t* to = rows(layer);
            for (int64_t i = 0; i < d; i++)
                memcpy(memory.z + to[i] * tile.stride, memory.grad + i * tile.stride,
                       tile.columns * sizeof(T));
            memcpy(memory.grad, memory.z, d * tile.stride * sizeof(T));
        }
        return loss;
    }
};

// A context's memory is its own, as it stays the same in all layers.
template <class T> INLINE int64_t context_size(const Flow& flow, int64_t rows) {
    return flow.n_context * whole<T>(rows) + 64 / sizeof(T);
}

template <class T> INLINE T* aligned(void* memory) {
    return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64);
}

// Rows of a table to a tile's columns; those that fill it up repeat the first.
template <class T>
void gather(const T* const* rows, int64_t n_rows, int64_t n, Tile<T> tile, T* out) {
    for (int64_t j = 0; j < tile.columns; j++) {
        const T* row = rows[j < n_rows ? j : 0];
        for (int64_t i = 0; i < n; i++) out[i * tile.stride + j] = row[i];
    }
}

template <class T>
void see(const Flow& flow, int64_t k, T* context, Tile<T> tile) {
    if (!flow.seen) return;
    const T* seen = static_cast<const T*>(flow.seen) + k * flow.n_context;
    for (int64_t i = 0; i < flow.n_context; i++)
        for (int64_t j = 0; j < tile.columns; j++) context[i * tile.stride + j] *= seen[i];
}

// ---------------------------------------------------------------------------------------------
// What Python calls

constexpr int64_t MOST_ROWS = 256;  // of a tile

template <class T> int64_t memory_size(const Flow& flow, int64_t rows, bool training) {
    return (Memory<T>(flow, rows, training, nullptr).n_numbers + context_size<T>(flow, rows))
           * sizeof(T);
}

template <class T> T squares(const T* x, int64_t n) {
    double total = 0;
    int64_t i = 0;
    while (i + lanes<T>() <= n) {  // in parts, so that single precision is enough within each
        Vec<T> part = {};
        const int64_t stop = i + 1024 * lanes<T>();
        for (; i + lanes<T>() <= n && i < stop; i += lanes<T>()) part += load(x + i) * load(x + i);
        total += sum<T>(part);
    }
    for (; i < n; i++) total += x[i] * x[i];
    return total;
}

template <class T> void update(const Steps& steps, int64_t n, int64_t step) {
    T *theta = static_cast<T*>(steps.theta), *mean = static_cast<T*>(steps.mean),
      *square = static_cast<T*>(steps.square);
    const T *gradient = static_cast<const T*>(steps.gradient),
            *decay = static_cast<const T*>(steps.decay);
    const T rate = steps.rates[step];
    if (decay)
        for (int64_t i = 0; i < n; i++) {
            const T part = decay[i] * rate;
            theta[i] -= theta[i] * (part > T(1) ? T(1) : part);
        }
    if (!steps.adam) {
        for (int64_t i = 0; i < n; i++) theta[i] -= gradient[i] * rate;
        return;
    }
    const double t = steps.first_step + step + 1;
    const T size = rate * T(sqrt(1 - pow(steps.beta2, t)) / (1 - pow(steps.beta1, t)));
    const T keep_mean = steps.beta1, keep_square = steps.beta2, new_mean = 1 - steps.beta1,
            new_square = 1 - steps.beta2, eps = steps.eps;
    int64_t i = 0;
    for (; i + lanes<T>() <= n; i += lanes<T>()) {
        const Vec<T> g = load(gradient + i);
        const Vec<T> m = load(mean + i) * keep_mean + g * new_mean;
        const Vec<T> s = load(square + i) * keep_square + g * g * new_square;
        store(mean + i, m);
        store(square + i, s);
        store(theta + i, load(theta + i) - m / (root_of<T>(s) + eps) * size);
    }
    for (; i < n; i++) {
        const T g = gradient[i];
        mean[i] = mean[i] * keep_mean + g * new_mean;
        square[i] = square[i] * keep_square + g * g * new_square;
        theta[i] -= mean[i] / (T(sqrt(square[i])) + eps) * size;
    }
}

template <class T> void train(const Flow& flow, const Steps& steps) {
    const int64_t d = flow.n_features, c = flow.n_context, n_batch = steps.batch_size;
    const int64_t stride = whole<T>(steps.tile < n_batch ? steps.tile : n_batch);
    T* context = aligned<T>(steps.memory);
    const Memory<T> memory(flow, stride, true, context + c * stride);
    const Model<T> model = {flow, steps.model, static_cast<const T*>(steps.theta)};
    const T *table = static_cast<const T*>(steps.table),
            *weight = static_cast<const T*>(steps.weight),
            *given = static_cast<const T*>(steps.context);
    T* gradient = static_cast<T*>(steps.gradient);
    const T* rows[MOST_ROWS];
    for (int64_t step = 0; step < steps.n_steps; step++) {
        const int64_t* index = steps.index + step * steps.index_stride;
        model.scales(memory.scales, false);
        double loss = 0;
        for (int64_t start = 0; start < n_batch; start += steps.tile) {
            const int64_t n = n_batch - start < steps.tile ? n_batch - start : steps.tile;
            const Tile<T> tile = {whole<T>(n), stride};
            for (int64_t j = 0; j < n; j++) rows[j] = table + index[start + j] * d;
            gather<T>(rows, n, d, tile, memory.z);
            const int64_t first = step * n_batch + start;
            if (steps.absent) {
                const T* noise = static_cast<const T*>(steps.absent) + first * d;
                for (int64_t j = 0; j < tile.columns; j++)
                    for (int64_t i = 0; i < d; i++) {
                        T* value = memory.z + i * stride + j;
                        if (*value != *value) *value = noise[(j < n ? j : 0) * d + i];
                    }
            }
            if (steps.noise) {
                const T* noise = static_cast<const T*>(steps.noise) + first * d;
                const T size = steps.noise_size;
                for (int64_t j = 0; j < tile.columns; j++)
                    for (int64_t i = 0; i < d; i++)
                        memory.z[i * stride + j] += noise[(j < n ? j : 0) * d + i] * size;
            }
            if (c) {
                for (int64_t j = 0; j < n; j++) rows[j] = given + index[start + j] * c;
                gather<T>(rows, n, c, tile, context);
                if (steps.context_noise) {
                    const T* noise = static_cast<const T*>(steps.context_noise) + first * c;
                    const T size = steps.context_noise_size;
                    for (int64_t j = 0; j < tile.columns; j++)
                        for (int64_t i = 0; i < c; i++)
                            context[i * stride + j] += noise[(j < n ? j : 0) * c + i] * size;
                }
                see<T>(flow, steps.model, context, tile);
            }
            for (int64_t j = 0; j < tile.columns; j++)
                memory.grad_log_det[j] =
                    j < n ? (weight ? weight[index[start + j]] : T(1)) / T(-n_batch) : T(0);
            model.forward(memory, tile, c ? context : nullptr, true);
            loss += model.backward(memory, tile, c ? context : nullptr, gradient, start > 0);
        }
        static_cast<T*>(steps.losses)[step] = loss;
        T factor = T(steps.max_grad_norm)
                   / (T(sqrt((double)squares<T>(gradient, flow.n_parameters))) + T(1e-6));
        if (!(factor >= T(1)))  // also where it is NaN
            for (int64_t i = 0; i < flow.n_parameters; i++) gradient[i] *= factor;
        update<T>(steps, flow.n_parameters, step);
    }
}

template <class T> void gradient_of(const Flow& flow, const Gradient& given) {
    const int64_t d = flow.n_features, c = flow.n_context, n_rows = given.n_rows;
    const int64_t stride = whole<T>(given.tile < n_rows ? given.tile : n_rows);
    T* context = aligned<T>(given.memory);
    const Memory<T> memory(flow, stride, true, context + c * stride);
    const Model<T> model = {
        flow, given.model,
        static_cast<const T*>(flow.theta) + given.model * flow.n_parameters};
    const T *values = static_cast<const T*>(given.values),
            *weight = static_cast<const T*>(given.weight),
            *conditions = static_cast<const T*>(given.context);
    const T* rows[MOST_ROWS];
    model.scales(memory.scales, false);
    double loss = 0;
    for (int64_t start = 0; start < n_rows; start += given.tile) {
        const int64_t n = n_rows - start < given.tile ? n_rows - start : given.tile;
        const Tile<T> tile = {whole<T>(n), stride};
        for (int64_t j = 0; j < n; j++) rows[j] = values + (start + j) * d;
        gather<T>(rows, n, d, tile, memory.z);
        if (c) {
            for (int64_t j = 0; j < n; j++) rows[j] = conditions + (start + j) * c;
            gather<T>(rows, n, c, tile, context);
            see<T>(flow, given.model, context, tile);
        }
        for (int64_t j = 0; j < tile.columns; j++)
            memory.grad_log_det[j] =
                j < n ? (weight ? weight[start + j] : T(1)) / T(-n_rows) : T(0);
        model.forward(memory, tile, c ? context : nullptr, true);
        loss += model.backward(memory, tile, c ? context : nullptr,
                               static_cast<T*>(given.gradient), start > 0);
    }
    *static_cast<T*>(given.loss) = loss;
}

template <class T> void map_rows(const Flow& flow, const Rows& given) {
    const int64_t d = flow.n_features, c = flow.n_context;
    const int64_t stride = whole<T>(given.tile < given.n_rows ? given.tile : given.n_rows);
    T* context = aligned<T>(given.memory);
    const Memory<T> memory(flow, stride, false, context + c * stride);
    const T* rows[MOST_ROWS];
    for (int64_t k = given.first_model; k < given.last_model; k++) {
        const Model<T> model = {flow, k,
                                static_cast<const T*>(flow.theta) + k * flow.n_parameters};
        const T *values = static_cast<const T*>(given.values) + k * given.values_stride,
                *conditions = static_cast<const T*>(given.context) + k * given.context_stride;
        const int64_t* last = flow.last_rows + k * d;
        model.scales(memory.scales, given.inverse);
        for (int64_t start = 0; start < given.n_rows; start += given.tile) {
            const int64_t n = given.n_rows - start < given.tile ? given.n_rows - start : given.tile;
            const Tile<T> tile = {whole<T>(n), stride};
            for (int64_t j = 0; j < tile.columns; j++) {
                const T* row = values + (start + (j < n ? j : 0)) * d;
                for (int64_t i = 0; i < d; i++)
                    memory.z[(given.inverse ? last[i] : i) * stride + j] = row[i];
            }
            if (c) {
                for (int64_t j = 0; j < n; j++) rows[j] = conditions + (start + j) * c;
                gather<T>(rows, n, c, tile, context);
                see<T>(flow, k, context, tile);
            }
            if (given.inverse)
                model.inverse(memory, tile, c ? context : nullptr);
            else
                model.forward(memory, tile, c ? context : nullptr, false);
            T* log_det = static_cast<T*>(given.log_det) + k * given.n_rows + start;
            for (int64_t j = 0; j < n; j++) {
                T base = 0;
                if (given.add_base) {
                    for (int64_t i = 0; i < d; i++) {
                        const T z = memory.z[i * stride + j];
                        base += z * z;
                    }
                    base = T(-0.5) * (base + T(d * 1.83787706640934548356));
                }
                log_det[j] = memory.log_det[j] + base;
            }
            if (!given.out) continue;
            T* out = static_cast<T*>(given.out) + (k * given.n_rows + start) * d;
            for (int64_t j = 0; j < n; j++)
                for (int64_t i = 0; i < d; i++)
                    out[j * d + i] = memory.z[(given.inverse ? i : last[i]) * stride + j];
        }
    }
}

}  // namespace

#define JOIN_2(name, set) name##_##set
#define JOIN(name, set) JOIN_2(name, set)
#define PUBLIC extern "C" __attribute__((visibility("default")))

PUBLIC void JOIN(train_float, SKFLOW_SET)(const Flow* f, const Steps* s) { train<float>(*f, *s); }
PUBLIC void JOIN(train_double, SKFLOW_SET)(const Flow* f, const Steps* s) { train<double>(*f, *s); }
PUBLIC void JOIN(gradient_float, SKFLOW_SET)(const Flow* f, const Gradient* g) {
    gradient_of<float>(*f, *g);
}
PUBLIC void JOIN(gradient_double, SKFLOW_SET)(const Flow* f, const Gradient* g) {
    gradient_of<double>(*f, *g);
}
PUBLIC void JOIN(map_float, SKFLOW_SET)(const Flow* f, const Rows* r) { map_rows<float>(*f, *r); }
PUBLIC void JOIN(map_double, SKFLOW_SET)(const Flow* f, const Rows* r) { map_rows<double>(*f, *r); }
PUBLIC int64_t JOIN(memory_float, SKFLOW_SET)(const Flow* f, int64_t rows, int64_t training) {
    return memory_size<float>(*f, rows, training);
}
PUBLIC int64_t JOIN(memory_double, SKFLOW_SET)(const Flow* f, int64_t rows, int64_t training) {
    return memory_size<double>(*f, rows, training);
}

#ifdef SKFLOW_CHOOSES
// The best of the instruction sets that this processor has.
PUBLIC const char* instruction_set() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "base";
}
#endif
