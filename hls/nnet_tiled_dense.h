#ifndef NNET_TILED_DENSE_H_
#define NNET_TILED_DENSE_H_

// A dense layer whose weights are one tile of signs, repeated: the codec Tiled of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct tiled_dense_config {
    static const unsigned n_in = 10;
    static const unsigned n_out = 10;
    static const unsigned n_tile = 10; // length of the tile, which divides n_in * n_out
    static const unsigned n_rows = 1;  // outputs that differ in their weights
    static const unsigned reuse_factor = 1;
};

// res[o] = bias[o] + sum over i of +data[i] or -data[i], as bit (o * n_in + i) % n_tile of the tile
// is 1 or 0. Output o has the signs of output o % n_rows, so only n_rows sums are made; a tile may
// end in the middle of a row. accum_t holds every partial sum.
template <class data_T, class res_T, typename CONFIG_T>
void tiled_dense(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                 typename CONFIG_T::tile_t tile[CONFIG_T::n_tile],
                 typename CONFIG_T::bias_t bias[CONFIG_T::n_out]) {
    #pragma HLS function_instantiate variable=tile,bias
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=tile complete
    #pragma HLS ARRAY_PARTITION variable=bias complete

    typename CONFIG_T::accum_t sum[CONFIG_T::n_rows];
    #pragma HLS ARRAY_PARTITION variable=sum complete

Rows:
    for (unsigned r = 0; r < CONFIG_T::n_rows; r++) {
        #pragma HLS UNROLL
        sum[r] = 0;
    Inputs:
        for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
            #pragma HLS UNROLL
            if (tile[(r * CONFIG_T::n_in + i) % CONFIG_T::n_tile] == 1) {
                sum[r] += data[i];
            } else {
                sum[r] -= data[i];
            }
        }
    }

Outputs:
    for (unsigned o = 0; o < CONFIG_T::n_out; o++) {
        #pragma HLS UNROLL
        res[o] = sum[o % CONFIG_T::n_rows] + bias[o];
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void tiled_dense(hls::stream<data_T> &data, hls::stream<res_T> &res,
                 typename CONFIG_T::tile_t tile[CONFIG_T::n_tile],
                 typename CONFIG_T::bias_t bias[CONFIG_T::n_out]) {
    typename data_T::value_type x[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=x complete
    read_tensor<data_T, CONFIG_T::n_in>(data, x);
    res_T y;
    tiled_dense<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(x, y.data, tile, bias);
    res.write(y);
}

} // namespace nnet

#endif
