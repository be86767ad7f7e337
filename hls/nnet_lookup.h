#ifndef NNET_LOOKUP_H_
#define NNET_LOOKUP_H_

// Any function of each element as a table: the operation Lookup of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct lookup_config {
    static const unsigned n_in = 10;      // elements of the tensor
    static const unsigned n_channels = 1; // length of its last axis, or 1: all share one table
    static const unsigned n_entries = 2;  // 2 to the width of an element
    static const unsigned offset = 0;     // makes the smallest element 0
    static const unsigned reuse_factor = 1;
};

// res[i] = table[c][data[i] + offset], c the channel of i. index_t holds 0..n_entries-1.
template <class data_T, class res_T, typename CONFIG_T>
void lookup(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
            typename CONFIG_T::table_t table[CONFIG_T::n_channels * CONFIG_T::n_entries]) {
    #pragma HLS function_instantiate variable=table
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    // Constants, not a memory: every element decodes by itself and none waits for a port.
    #pragma HLS ARRAY_PARTITION variable=table complete

Channels:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        const unsigned c = i % CONFIG_T::n_channels;
        const typename CONFIG_T::index_t index = data[i] + CONFIG_T::offset;
        res[i] = table[c * CONFIG_T::n_entries + index.to_uint()];
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void lookup(hls::stream<data_T> &data, hls::stream<res_T> &res,
            typename CONFIG_T::table_t table[CONFIG_T::n_channels * CONFIG_T::n_entries]) {
Pixels:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        data_T x = data.read();
        res_T y;
        lookup<typename data_T::value_type, typename res_T::value_type, pixel_config<data_T::size, CONFIG_T>>(
            x.data, y.data, table);
        res.write(y);
    }
}

} // namespace nnet

#endif
