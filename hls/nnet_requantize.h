#ifndef NNET_REQUANTIZE_H_
#define NNET_REQUANTIZE_H_

// Multiply, add and shift, rounded and saturated: the operation Requantize of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct requantize_config {
    static const unsigned n_in = 10;       // elements of the tensor
    static const unsigned n_channels = 10; // length of its last axis
    static const unsigned shift = 0;
    static const unsigned reuse_factor = 1;
};

// res[i] = saturate(round((multiplier[c] * data[i] + bias[c]) / 2^shift)), c the channel of i.
// res_T says how to round and to saturate; accum_t holds the whole numerator, in more than `shift`
// bits.
template <class data_T, class res_T, typename CONFIG_T>
void requantize(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
                typename CONFIG_T::multiplier_t multiplier[CONFIG_T::n_channels],
                typename CONFIG_T::bias_t bias[CONFIG_T::n_channels]) {
    #pragma HLS function_instantiate variable=multiplier,bias
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=multiplier complete
    #pragma HLS ARRAY_PARTITION variable=bias complete

    typedef typename CONFIG_T::accum_t accum_t;
    // The bits of the numerator with `shift` of them behind the point: the division is free.
    typedef ap_fixed<accum_t::width, accum_t::width - (int)CONFIG_T::shift> quotient_t;

Channels:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        const unsigned c = i % CONFIG_T::n_channels;
        const accum_t numerator = data[i] * multiplier[c] + bias[c];
        quotient_t quotient;
        quotient.range() = numerator.range();
        res[i] = quotient;
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void requantize(hls::stream<data_T> &data, hls::stream<res_T> &res,
                typename CONFIG_T::multiplier_t multiplier[CONFIG_T::n_channels],
                typename CONFIG_T::bias_t bias[CONFIG_T::n_channels]) {
Pixels:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        data_T x = data.read();
        res_T y;
        requantize<typename data_T::value_type, typename res_T::value_type, pixel_config<data_T::size, CONFIG_T>>(
            x.data, y.data, multiplier, bias);
        res.write(y);
    }
}

} // namespace nnet

#endif
