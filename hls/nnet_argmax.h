#ifndef NNET_ARGMAX_H_
#define NNET_ARGMAX_H_

// Which channel is largest: the operation ArgMax of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct argmax_config {
    static const unsigned n_in = 10;       // elements of the tensor
    static const unsigned n_channels = 10; // length of its last axis
    static const unsigned reuse_factor = 1;
};

// res[i] = the first c with the largest data[i, c]. A tree of comparisons in which the earlier of
// two equal channels wins. index_t holds 0..n_channels-1.
template <class data_T, class res_T, typename CONFIG_T>
void argmax(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in / CONFIG_T::n_channels]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor

Vectors:
    for (unsigned i = 0; i < CONFIG_T::n_in / CONFIG_T::n_channels; i++) {
        #pragma HLS UNROLL
        data_T largest[CONFIG_T::n_channels];
        typename CONFIG_T::index_t where[CONFIG_T::n_channels];
        #pragma HLS ARRAY_PARTITION variable=largest complete
        #pragma HLS ARRAY_PARTITION variable=where complete
    Channels:
        for (unsigned c = 0; c < CONFIG_T::n_channels; c++) {
            #pragma HLS UNROLL
            largest[c] = data[i * CONFIG_T::n_channels + c];
            where[c] = c;
        }
    Levels:
        for (unsigned step = 1; step < CONFIG_T::n_channels; step *= 2) {
            #pragma HLS UNROLL
        Pairs:
            for (unsigned c = 0; c + step < CONFIG_T::n_channels; c += 2 * step) {
                #pragma HLS UNROLL
                if (largest[c + step] > largest[c]) {
                    largest[c] = largest[c + step];
                    where[c] = where[c + step];
                }
            }
        }
        res[i] = where[0];
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void argmax(hls::stream<data_T> &data, hls::stream<res_T> &res) {
Pixels:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        data_T x = data.read();
        res_T y;
        argmax<typename data_T::value_type, typename res_T::value_type, pixel_config<data_T::size, CONFIG_T>>(x.data, y.data);
        res.write(y);
    }
}

} // namespace nnet

#endif
