// Couplings: in place on x (A features), from raw (n_parameters * A)

#pragma once

#include "descriptions.h"
#include "vectors.h"

namespace {

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

// The bins of a feature's spline: softmax numerators, what brings them to scale, inner slopes.
template <class T, int BINS> struct Bins {
    Vec<T> powers[2][BINS ? BINS : MOST_BINS], scale[2];
    const T* slopes;
    int64_t step;
};

// With KEEP the numerators take the place of raw.
template <class T, int BINS, bool KEEP>
INLINE void prepare(const Flow& flow, T* raw, int64_t step, Bins<T, BINS>& bins) {
    const int n = BINS ? BINS : (int)flow.n_bins;
    for (int a = 0; a < 2; a++) {
        T* own = raw + a * n * step;
        Vec<T>* powers = bins.powers[a];
        Vec<T> most = load(own);
        for (int i = 0; i < n; i++) {
            powers[i] = load(own + i * step);
            most = powers[i] > most ? powers[i] : most;
        }
        Vec<T> total = {};
        for (int i = 0; i < n; i++) {
            powers[i] = exp2_of<T>((powers[i] - most) * T(LOG2_E));
            total += powers[i];
            if (KEEP) store(own + i * step, powers[i]);
        }
        bins.scale[a] = T(flow.free_length) / total;
    }
    bins.slopes = raw + 2 * n * step;
    bins.step = step;
}

// The bin that holds a value of x (axis 0) or of y (axis 1).
template <class T> struct Bin {
    Vec<T> index, left[2], size[2], level[2], x0, y0, w, h, d0, d1;
};

template <class T, int BINS>
INLINE Bin<T> find(const Flow& flow, const Bins<T, BINS>& bins, Vec<T> value, int axis) {
    const int n = BINS ? BINS : (int)flow.n_bins;
    const T min_length = flow.min_length, bound = flow.bound;
    Bin<T> bin;
    for (int a = 0; a < 2; a++) {
        bin.left[a] = Vec<T>{};
        bin.size[a] = bins.powers[a][0];
    }
    // at the ends raw 0 is the derivative 1
    Vec<T> passed[2] = {Vec<T>{}, Vec<T>{}}, before = {};
    Vec<T> after = n > 1 ? load(bins.slopes) : Vec<T>{};
    bin.index = Vec<T>{};
    for (int i = 1; i < n; i++) {
        const T* slope = bins.slopes + i * bins.step;
        passed[0] += bins.powers[0][i - 1];
        passed[1] += bins.powers[1][i - 1];
        const T least = i * min_length - bound;
        const IntVec<T> reached = value > least + passed[axis] * bins.scale[axis];
        for (int a = 0; a < 2; a++) {
            bin.left[a] = reached ? passed[a] : bin.left[a];
            bin.size[a] = reached ? bins.powers[a][i] : bin.size[a];
        }
        before = reached ? load(slope - bins.step) : before;
        after = reached ? (i < n - 1 ? load(slope) : Vec<T>{}) : after;
        bin.index = reached ? all((T)i) : bin.index;
    }
    for (int a = 0; a < 2; a++) {
        bin.left[a] *= bins.scale[a];
        bin.size[a] *= bins.scale[a];
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

// A value's image, and the spline's slope at it.
template <class T> struct Point {
    Vec<T> image, slope, theta;
};

template <class T> INLINE Point<T> forward_in(const Bin<T>& bin, Vec<T> x) {
    const Vec<T> per_w = T(1) / bin.w, theta = (x - bin.x0) * per_w, s = bin.h * per_w;
    const Terms<T> t = rational<T>(theta, s, bin.d0, bin.d1);
    const Vec<T> q = theta * t.low * t.per_denominator, ratio = s * t.per_denominator;
    return {bin.y0 + bin.h * q, ratio * ratio * t.m, theta};
}

template <class T> INLINE Point<T> inverse_in(const Bin<T>& bin, Vec<T> y) {
    const Vec<T> s = bin.h / bin.w, rise = y - bin.y0;
    // the root in [0, 1] in the form that does not cancel (Durkan's Eq. 29)
    const Vec<T> bend = (bin.d0 + bin.d1 - T(2) * s) * rise;
    const Vec<T> b = bin.h * bin.d0 - bend, first = bend + bin.h * (s - bin.d0), c = rise * s;
    Vec<T> inner = b * b + T(4) * first * c;
    inner = inner < T(0) ? Vec<T>{} : inner;
    const Vec<T> theta = (c + c) / (root_of<T>(inner) + b);
    const Terms<T> t = rational<T>(theta, s, bin.d0, bin.d1);
    const Vec<T> ratio = s * t.per_denominator;
    return {bin.x0 + theta * bin.w, ratio * ratio * t.m, theta};
}

template <class T> INLINE Vec<T> clipped_to(Vec<T> x, T bound) {
    x = x < -bound ? all(-bound) : x;
    return x > bound ? all(bound) : x;
}

template <class T, int BINS, bool KEEP>
void spline_forward(const Flow& flow, int64_t n, Tile<T> tile, T* x, T* raw, T* log_det, T* kept) {
    const T bound = flow.bound;
    Bins<T, BINS> bins;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            T* at = x + a * tile.stride + j;
            const Vec<T> value = load(at), clipped = clipped_to<T>(value, bound);
            prepare<T, BINS, KEEP>(flow, raw + a * tile.stride + j, n * tile.stride, bins);
            const Bin<T> bin = find<T, BINS>(flow, bins, clipped, 0);
            const Point<T> point = forward_in<T>(bin, clipped);
            store(at, value - clipped + point.image);
            store(log_det + j, load(log_det + j) + log_of<T>(point.slope));
            if (KEEP) {
                T* keep = kept + a * tile.stride + j;
                const int64_t step = n * tile.stride;
                store(keep + INDEX * step, bin.index);
                store(keep + THETA * step, point.theta);
                store(keep + INSIDE * step, value == clipped ? all(T(1)) : Vec<T>{});
                store(keep + LEFT_X * step, bin.left[0]);
                store(keep + LEFT_Y * step, bin.left[1]);
                store(keep + SIZE_X * step, bin.size[0]);
                store(keep + SIZE_Y * step, bin.size[1]);
                store(keep + SCALE_X * step, bins.scale[0]);
                store(keep + SCALE_Y * step, bins.scale[1]);
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
    Bins<T, BINS> bins;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            T* at = y + a * tile.stride + j;
            const Vec<T> value = load(at), clipped = clipped_to<T>(value, bound);
            prepare<T, BINS, false>(flow, raw + a * tile.stride + j, n * tile.stride, bins);
            const Point<T> point = inverse_in<T>(find<T, BINS>(flow, bins, clipped, 1), clipped);
            store(at, value - clipped + point.image);
            store(log_det + j, load(log_det + j) - log_of<T>(point.slope));
        }
}

// Many values (n, rows) of a feature whose rows have a spline each (raw: n_parameters, rows),
// between whole vectors of rows; behind the spline forward, or before it inverse, the constants.
template <class T, int BINS>
void spline_values(const Flow& flow, int64_t n, int64_t n_rows, T* x, T* raw, T scale, T shift,
                   bool inverse) {
    const T bound = flow.bound;
    Bins<T, BINS> bins;
    for (int64_t j = 0; j < n_rows; j += lanes<T>()) {
        prepare<T, BINS, false>(flow, raw + j, n_rows, bins);
        for (int64_t a = 0; a < n; a++) {
            T* at = x + a * n_rows + j;
            const Vec<T> value = inverse ? (load(at) - shift) / scale : load(at);
            const Vec<T> clipped = clipped_to<T>(value, bound);
            const Bin<T> bin = find<T, BINS>(flow, bins, clipped, inverse);
            const Point<T> point =
                inverse ? inverse_in<T>(bin, clipped) : forward_in<T>(bin, clipped);
            const Vec<T> image = value - clipped + point.image;
            store(at, inverse ? image : image * scale + shift);
        }
    }
}

template <class T> INLINE Vec<T> bounded(const Flow& flow, Vec<T> raw) {
    return T(2 * flow.bound) * sigmoid_of<T>(raw * T(2 / flow.bound)) - T(flow.bound);
}

// The bounded parameters take the place of raw; the scale and the scaled value are kept.
template <class T>
void affine(const Flow& flow, int64_t n, Tile<T> tile, T* x, T* raw, T* log_det, T* kept,
            bool inverse) {
    const int64_t step = n * tile.stride;
    for (int64_t a = 0; a < n; a++)
        for (int64_t j = 0; j < tile.columns; j += lanes<T>()) {
            const int64_t place = a * tile.stride + j;
            const Vec<T> log_scale = bounded<T>(flow, load(raw + place));
            Vec<T> shift = load(raw + step + place);
            if (flow.bounded_shift) shift = bounded<T>(flow, shift);
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

template <class T>
void affine_values(const Flow& flow, int64_t n, int64_t n_rows, T* x, const T* raw, T scale,
                   T shift, bool inverse) {
    for (int64_t j = 0; j < n_rows; j += lanes<T>()) {
        const Vec<T> log_scale = bounded<T>(flow, load(raw + j));
        const Vec<T> added = load(raw + n_rows + j);
        const Vec<T> t = flow.bounded_shift ? bounded<T>(flow, added) : added;
        const Vec<T> s = exp2_of<T>(log_scale * T(LOG2_E));
        for (int64_t a = 0; a < n; a++) {
            T* at = x + a * n_rows + j;
            const Vec<T> value = load(at);
            store(at, inverse ? ((value - shift) / scale - t) / s : (value * s + t) * scale + shift);
        }
    }
}

template <class T>
void coupling_values(const Flow& flow, int64_t n, int64_t n_rows, T* x, T* raw, T scale, T shift,
                     bool inverse) {
    if (!flow.spline)
        affine_values<T>(flow, n, n_rows, x, raw, scale, shift, inverse);
    else if (flow.n_bins == 8)
        spline_values<T, 8>(flow, n, n_rows, x, raw, scale, shift, inverse);
    else
        spline_values<T, 0>(flow, n, n_rows, x, raw, scale, shift, inverse);
}

}  // namespace
