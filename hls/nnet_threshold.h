#ifndef NNET_THRESHOLD_H_
#define NNET_THRESHOLD_H_

// Any monotone quantiser as integer comparisons: the operation Threshold of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct threshold_config {
    static const unsigned n_in = 10;       // elements of the tensor
    static const unsigned n_channels = 10; // length of its last axis
    static const unsigned n_levels = 1;
    static const unsigned reuse_factor = 1;
};

// res[i] = base[c] + step[c] * (number of k with data[i] >= thresholds[c][k]), c the channel of i.
// step is +1, or -1 where the quantiser falls; accum_t counts to n_levels.
template <class data_T, class res_T, typename CONFIG_T>
void threshold(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
               typename CONFIG_T::thresholds_t thresholds[CONFIG_T::n_channels * CONFIG_T::n_levels],
               typename CONFIG_T::base_t base[CONFIG_T::n_channels],
               typename CONFIG_T::step_t step[CONFIG_T::n_channels]) {
    #pragma HLS function_instantiate variable=thresholds,base,step
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=thresholds complete
    #pragma HLS ARRAY_PARTITION variable=base complete
    #pragma HLS ARRAY_PARTITION variable=step complete

Channels:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        const unsigned c = i % CONFIG_T::n_channels;
        typename CONFIG_T::accum_t reached = 0;
    Levels:
        for (unsigned k = 0; k < CONFIG_T::n_levels; k++) {
            #pragma HLS UNROLL
            if (data[i] >= thresholds[c * CONFIG_T::n_levels + k]) {
                reached++;
            }
        }
        res[i] = base[c] + step[c] * reached;
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void threshold(hls::stream<data_T> &data, hls::stream<res_T> &res,
               typename CONFIG_T::thresholds_t thresholds[CONFIG_T::n_channels * CONFIG_T::n_levels],
               typename CONFIG_T::base_t base[CONFIG_T::n_channels],
               typename CONFIG_T::step_t step[CONFIG_T::n_channels]) {
Pixels:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        data_T x = data.read();
        res_T y;
        threshold<typename data_T::value_type, typename res_T::value_type, pixel_config<data_T::size, CONFIG_T>>(
            x.data, y.data, thresholds, base, step);
        res.write(y);
    }
}

} // namespace nnet

#endif
