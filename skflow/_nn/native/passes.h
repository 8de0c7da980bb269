// Tiles through the whole flow: forward, inverse, backward.

#pragma once

#include "conditioners.h"

namespace {

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
    void forward(const Memory<T>& memory, Tile<T> tile, Given<T> context, bool training) const {
        const T start = log_scales();
        for (int64_t j = 0; j < tile.columns; j++) memory.log_det[j] = start;
        for (int64_t l = 0; l < flow.n_layers; l++) {
            const Layer& layer = flow.layers[l];
            const auto p = memory.place(flow, l, training, tile.stride);
            const int64_t* from = rows(layer);
            for (int64_t i = 0; i < flow.n_features; i++)
                memcpy(p.x + i * tile.stride, memory.z + from[i] * tile.stride,
                       tile.columns * sizeof(T));
            const T *scale = memory.scales + layer.constants,
                    *shift = theta + flow.n_constants + layer.constants;
            if (layer.linear >= 0)
                linear_forward<T>(layer, theta, scale + n_active(layer), shift + n_active(layer),
                                  tile, p);
            conditioner<T>(flow, layer, theta, tile, p, context);
            coupling_forward<T>(flow, layer.n_transformed, tile, p.x, p.raw, memory.log_det,
                                p.kept);
            for (int64_t i = 0; i < flow.n_features; i++) {
                const bool active = i < n_active(layer);
                const T s = active ? scale[i] : T(1), t = active ? shift[i] : T(0);
                for (int64_t j = 0; j < tile.columns; j += lanes<T>())
                    store(memory.z + i * tile.stride + j, load(p.x + i * tile.stride + j) * s + t);
            }
        }
    }

    // From memory.z (in the last layer's order) to memory.z (features in their order).
    void inverse(const Memory<T>& memory, Tile<T> tile, Given<T> context) const {
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
            if (layer.linear >= 0)
                linear_inverse<T>(layer, theta, scale + n_active(layer), shift + n_active(layer),
                                  tile, p);
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
            if (layer.linear >= 0) {
                const int64_t n = n_active(layer);
                const T* shift = theta + flow.n_constants + layer.constants + n;
                linear_backward<T>(layer, theta, scale + n, shift, gradient, g_scale + n,
                                   g_shift + n, total, tile, p, memory, add);
            }
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

// Rows of a table to a tile's columns; those that fill it up repeat the first.
template <class T>
void gather(const T* const* rows, int64_t n_rows, int64_t n, Tile<T> tile, T* out) {
    for (int64_t j = 0; j < tile.columns; j++) {
        const T* row = rows[j < n_rows ? j : 0];
        for (int64_t i = 0; i < n; i++) out[i * tile.stride + j] = row[i];
    }
}

// The same of the columns that are not 0 in all rows.
template <class T>
Given<T> gather_used(const T* const* rows, int64_t n_rows, int64_t n, Tile<T> tile,
                     const Memory<T>& memory) {
    int64_t *used = memory.used, n_used = 0;
    for (int64_t i = 0; i < n; i++) used[i] = 0;
    for (int64_t j = 0; j < n_rows; j++)
        for (int64_t i = 0; i < n; i++) used[i] |= rows[j][i] != 0;
    for (int64_t i = 0; i < n; i++) {
        if (!used[i]) continue;
        T* out = memory.context + n_used * tile.stride;
        for (int64_t j = 0; j < tile.columns; j++) out[j] = rows[j < n_rows ? j : 0][i];
        used[n_used++] = i;
    }
    return {memory.context, used, n_used};
}

}  // namespace
