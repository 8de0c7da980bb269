// Vectors and the functions of them.

#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#define INLINE inline __attribute__((always_inline))

namespace {

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
template <class T> INLINE Vec<T> load_part(const T* p, int64_t count) {
    Vec<T> v = {};
    memcpy(&v, p, count * sizeof(T));
    return v;
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

}  // namespace
