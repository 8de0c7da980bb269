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

#include "passes.h"

#ifndef SKFLOW_SET
#define SKFLOW_SET base
#endif

namespace {

constexpr int64_t MOST_ROWS = 256;  // of a tile

template <class T> int64_t memory_size(const Flow& flow, int64_t rows, bool training) {
    return Memory<T>(flow, rows, training, nullptr).n_numbers * sizeof(T);
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

// Moves a model by its gradient times `factor`. All that is done to a parameter is done at once: a
// model with its moments is larger than the cache, so each pass reads it from memory.
template <class T> void update(const Steps& steps, int64_t n, int64_t step, T factor) {
    T *theta = static_cast<T*>(steps.theta), *mean = static_cast<T*>(steps.mean),
      *square = static_cast<T*>(steps.square);
    const T *gradient = static_cast<const T*>(steps.gradient),
            *decay = static_cast<const T*>(steps.decay);
    const T rate = steps.rates[step], keep_mean = steps.beta1, keep_square = steps.beta2,
            new_mean = 1 - steps.beta1, new_square = 1 - steps.beta2, eps = steps.eps;
    const double t = steps.first_step + step + 1;
    const T size = rate * T(sqrt(1 - pow(steps.beta2, t)) / (1 - pow(steps.beta1, t)));
    const auto move = [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const Vec<T> g = load_part(gradient + i, count) * factor;
        Vec<T> x = load_part(theta + i, count);
        if (decay) {
            const Vec<T> part = load_part(decay + i, count) * rate;
            x -= x * (part > T(1) ? all(T(1)) : part);
        }
        if (steps.adam) {
            const Vec<T> m = load_part(mean + i, count) * keep_mean + g * new_mean;
            const Vec<T> s = load_part(square + i, count) * keep_square + g * g * new_square;
            memcpy(mean + i, &m, count * sizeof(T));
            memcpy(square + i, &s, count * sizeof(T));
            x -= m / (root_of<T>(s) + eps) * size;
        } else
            x -= g * rate;
        memcpy(theta + i, &x, count * sizeof(T));
    };
    int64_t i = 0;
    for (; i + lanes<T>() <= n; i += lanes<T>()) move(i, lanes<T>());
    if (i < n) move(i, n - i);
}

// To n rows from `first` on of a step's noise; columns that fill the tile up have that of the first.
template <class T>
void add_noise(const void* drawn, T size, int64_t first, int64_t n, int64_t n_columns, Tile<T> tile,
               T* out) {
    if (!drawn) return;
    const T* noise = static_cast<const T*>(drawn) + first * n_columns;
    for (int64_t j = 0; j < tile.columns; j++)
        for (int64_t i = 0; i < n_columns; i++)
            out[i * tile.stride + j] += noise[(j < n ? j : 0) * n_columns + i] * size;
}

template <class T> void train(const Flow& flow, const Steps& steps) {
    const int64_t d = flow.n_features, c = flow.n_context, n_batch = steps.batch_size;
    const int64_t stride = whole<T>(steps.tile < n_batch ? steps.tile : n_batch);
    const Memory<T> memory(flow, stride, true, steps.memory);
    T* context = memory.context;
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
            add_noise<T>(steps.noise, steps.noise_size, first, n, d, tile, memory.z);
            if (c) {
                for (int64_t j = 0; j < n; j++) rows[j] = given + index[start + j] * c;
                gather<T>(rows, n, c, tile, context);
                add_noise<T>(steps.context_noise, steps.context_noise_size, first, n, c, tile,
                             context);
            }
            for (int64_t j = 0; j < tile.columns; j++)
                memory.grad_log_det[j] =
                    j < n ? (weight ? weight[index[start + j]] : T(1)) / T(-n_batch) : T(0);
            model.forward(memory, tile, {context, nullptr, 0}, true);
            loss += model.backward(memory, tile, c ? context : nullptr, gradient, start > 0);
        }
        static_cast<T*>(steps.losses)[step] = loss;
        if (!steps.rates) continue;
        const T factor = T(steps.max_grad_norm)
                         / (T(sqrt((double)squares<T>(gradient, flow.n_parameters))) + T(1e-6));
        // NaN stays NaN
        update<T>(steps, flow.n_parameters, step, factor >= T(1) ? T(1) : factor);
    }
}

template <class T> void map_rows(const Flow& flow, const Rows& given) {
    const int64_t d = flow.n_features, c = flow.n_context;
    const int64_t stride = whole<T>(given.tile < given.n_rows ? given.tile : given.n_rows);
    const Memory<T> memory(flow, stride, false, given.memory);
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
            for (int64_t j = 0; c && j < n; j++) rows[j] = conditions + (start + j) * c;
            const Given<T> context = gather_used<T>(rows, n, c, tile, memory);
            if (given.inverse)
                model.inverse(memory, tile, context);
            else
                model.forward(memory, tile, context, false);
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

template <class T> void map_values(const Flow& flow, const Values& given) {
    const int64_t n_parameters = flow.spline ? 3 * flow.n_bins - 1 : 2;
    for (int64_t k = 0; k < given.n_models; k++)
        coupling_values<T>(flow, given.n_values, given.n_rows,
                           static_cast<T*>(given.x) + k * given.n_values * given.n_rows,
                           static_cast<T*>(given.raw) + k * n_parameters * given.n_rows,
                           static_cast<const T*>(given.scale)[k],
                           static_cast<const T*>(given.shift)[k], given.inverse);
}

}  // namespace

#define JOIN_2(name, set) name##_##set
#define JOIN(name, set) JOIN_2(name, set)
#define PUBLIC extern "C" __attribute__((visibility("default")))

#define EXPORT(T)                                                                              \
    PUBLIC void JOIN(train_##T, SKFLOW_SET)(const Flow* f, const Steps* s) {                   \
        train<T>(*f, *s);                                                                      \
    }                                                                                          \
    PUBLIC void JOIN(map_##T, SKFLOW_SET)(const Flow* f, const Rows* r) { map_rows<T>(*f, *r); } \
    PUBLIC void JOIN(values_##T, SKFLOW_SET)(const Flow* f, const Values* v) {                 \
        map_values<T>(*f, *v);                                                                 \
    }                                                                                          \
    PUBLIC int64_t JOIN(memory_##T, SKFLOW_SET)(const Flow* f, int64_t rows, int64_t training) { \
        return memory_size<T>(*f, rows, training);                                             \
    }

EXPORT(float)
EXPORT(double)

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