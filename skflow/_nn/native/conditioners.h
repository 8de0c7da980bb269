// Conditioners, and where a tile's numbers stand.

#pragma once

#include "couplings.h"
#include "products.h"

namespace {

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
        T *x, *input, *hidden, *raw, *kept, *stepped;
    };
    T *context, *log_det, *grad_log_det, *z, *grad, *grad_2, *grad_input, *transposed, *scales;
    T* layers;
    int64_t* used;       // columns of the context, see Given
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
                                 + (training ? (n_kept(flow) + 1) * layer.n_transformed : 0);
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
        context = take(flow.n_context * stride);  // the same in all layers
        used = reinterpret_cast<int64_t*>(take(flow.n_context * (sizeof(int64_t) / sizeof(T))));
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
        p.stepped = training ? p.kept + n_kept(flow) * layer.n_transformed * stride : nullptr;
        return p;
    }
};

// The context of a tile: all its columns in training. In other passes only those that are not 0 in
// the whole tile, of very many categories few, and which they are.
template <class T> struct Given {
    const T* columns;
    const int64_t* used;
    int64_t n_used;
};

// The raw parameters of a coupling; returns where the first linear map has its inputs, for the
// training.
template <class T>
const T* conditioner(const Flow& flow, const Layer& layer, const T* theta, Tile<T> tile,
                     const typename Memory<T>::Place& p, Given<T> context) {
    const T* conditions = p.x + layer.n_transformed * tile.stride;
    const bool apart = flow.n_context && !p.kept;
    if (flow.n_context && !apart) {
        memcpy(p.input, conditions, layer.n_conditioning * tile.stride * sizeof(T));
        memcpy(p.input + layer.n_conditioning * tile.stride, context.columns,
               flow.n_context * tile.stride * sizeof(T));
        conditions = p.input;
    }
    const T *parameters = theta + layer.conditioner, *from = conditions;
    T* to = p.hidden;
    for (int64_t i = 0; i < layer.n_linears; i++) {
        const int64_t n_in = layer.sizes[i], n_out = layer.sizes[i + 1];
        const int64_t n_first = apart && i == 0 ? layer.n_conditioning : n_in;
        const T* bias = parameters + n_in * n_out;
        product<T>(n_out, tile.columns, n_first, parameters, n_in, 1, from, tile.stride, to,
                   tile.stride, bias, false);
        for (int64_t k = 0, n; n_first < n_in && k < context.n_used; k += n) {
            const int64_t* own = context.used + k;  // a run of neighbours
            for (n = 1; k + n < context.n_used && own[n] == own[0] + n;) n++;
            product<T>(n_out, tile.columns, n, parameters + n_first + own[0], n_in, 1,
                       context.columns + k * tile.stride, tile.stride, to, tile.stride, nullptr,
                       true);
        }
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

// x_A -> (x_A - W x_B) * s + t, before the coupling.
template <class T>
void linear_forward(const Layer& layer, const T* theta, const T* scale, const T* shift,
                    Tile<T> tile, const typename Memory<T>::Place& p) {
    const T* x_b = p.x + layer.n_transformed * tile.stride;
    product<T>(layer.n_transformed, tile.columns, layer.n_conditioning, theta + layer.linear,
               layer.n_conditioning, 1, x_b, tile.stride, p.raw, tile.stride, nullptr, false);
    for (int64_t i = 0; i < layer.n_transformed; i++)
        for (int64_t j = i * tile.stride; j < i * tile.stride + tile.columns; j += lanes<T>()) {
            const Vec<T> x = (load(p.x + j) - load(p.raw + j)) * scale[i] + shift[i];
            store(p.x + j, x);
            if (p.stepped) store(p.stepped + j, x);
        }
}

// With the inverse scales.
template <class T>
void linear_inverse(const Layer& layer, const T* theta, const T* scale, const T* shift,
                    Tile<T> tile, const typename Memory<T>::Place& p) {
    for (int64_t i = 0; i < layer.n_transformed; i++)
        for (int64_t j = i * tile.stride; j < i * tile.stride + tile.columns; j += lanes<T>())
            store(p.x + j, (load(p.x + j) - shift[i]) * scale[i]);
    const T* x_b = p.x + layer.n_transformed * tile.stride;
    product<T>(layer.n_transformed, tile.columns, layer.n_conditioning, theta + layer.linear,
               layer.n_conditioning, 1, x_b, tile.stride, p.x, tile.stride, nullptr, true);
}

// Gradients of the step's parameters; `grad`, that of all features, becomes that of its input.
template <class T>
void linear_backward(const Layer& layer, const T* theta, const T* scale, const T* shift,
                     T* gradient, T* g_scale, T* g_shift, T total, Tile<T> tile,
                     const typename Memory<T>::Place& p, const Memory<T>& memory, bool add) {
    const int64_t n_a = layer.n_transformed, n_b = layer.n_conditioning;
    for (int64_t i = 0; i < n_a; i++) {
        Vec<T> shifts = {}, scales = {};
        for (int64_t j = i * tile.stride; j < i * tile.stride + tile.columns; j += lanes<T>()) {
            const Vec<T> g = load(memory.grad + j);
            shifts += g;
            scales += (load(p.stepped + j) - shift[i]) * g;
            store(memory.grad + j, g * scale[i]);
            store(memory.grad_2 + j, -g * scale[i]);
        }
        g_scale[i] = (add ? g_scale[i] : T(0)) + sum<T>(scales) + total;
        g_shift[i] = (add ? g_shift[i] : T(0)) + sum<T>(shifts);
    }
    transpose<T>(p.x + n_a * tile.stride, n_b, tile, memory.transposed);
    product<T>(n_a, n_b, tile.columns, memory.grad_2, tile.stride, 1, memory.transposed,
               whole<T>(n_b), gradient + layer.linear, n_b, nullptr, add);
    product<T>(n_b, tile.columns, n_a, theta + layer.linear, 1, n_b, memory.grad_2, tile.stride,
               memory.grad + n_a * tile.stride, tile.stride, nullptr, true);
}

}  // namespace
