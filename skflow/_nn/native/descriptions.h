// What Python tells the kernels. kernels.py reads the structures here: their fields are int64_t,
// double or pointers.

#pragma once

#include <stdint.h>

extern "C" {

struct Layer {
    int64_t n_transformed, n_conditioning, n_linears;
    int64_t constants;    // place of the first log-scale among those of all layers
    int64_t linear;       // place of the linear step's first weight, -1 without
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
    const void* theta;         // (K, P)
};

struct Steps {
    int64_t model, n_steps, batch_size, tile, first_step;
    const void *table, *weight, *context;  // (n, d), (n,) or null, (n, c) or null
    const int64_t* index;                  // of step i: batch_size numbers from i * index_stride on
    int64_t index_stride;
    const void *absent, *noise, *context_noise;  // (n_steps, batch_size, d or c) or null
    double noise_size, context_noise_size;
    const double* rates;  // or null: the gradient is asked for, and no step
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

struct Values {  // of one layer of flows of a single feature
    int64_t n_models, n_values, n_rows;  // rows: whole vectors
    int64_t inverse;
    void *x, *raw;               // (K, values, rows), (K, n_parameters, rows)
    const void *scale, *shift;  // (K,), of the constants
};
}
