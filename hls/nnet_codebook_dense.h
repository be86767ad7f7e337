#ifndef NNET_CODEBOOK_DENSE_H_
#define NNET_CODEBOOK_DENSE_H_

// A dense layer whose weights are indices into small tables: the codec Codebook of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct codebook_dense_config {
    static const unsigned n_in = 10;
    static const unsigned n_out = 10;
    static const unsigned n_groups = 1;  // tables, each for n_out / n_groups outputs in a row
    static const unsigned n_entries = 2; // of one table
    static const unsigned reuse_factor = 1;
};

// res[o] = bias[o] + sum over i of data[i] * table[g][indices[i][o]], g the group of o.
// Unrolled, so the tool sees every index and the entry that it means as a constant. accum_t holds
// every partial sum.
template <class data_T, class res_T, typename CONFIG_T>
void codebook_dense(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_out],
                    typename CONFIG_T::indices_t indices[CONFIG_T::n_in * CONFIG_T::n_out],
                    typename CONFIG_T::table_t table[CONFIG_T::n_groups * CONFIG_T::n_entries],
                    typename CONFIG_T::bias_t bias[CONFIG_T::n_out]) {
    #pragma HLS function_instantiate variable=indices,table,bias
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=indices complete
    #pragma HLS ARRAY_PARTITION variable=table complete
    #pragma HLS ARRAY_PARTITION variable=bias complete

Outputs:
    for (unsigned o = 0; o < CONFIG_T::n_out; o++) {
        #pragma HLS UNROLL
        const unsigned group = o / (CONFIG_T::n_out / CONFIG_T::n_groups);
        typename CONFIG_T::accum_t sum = bias[o];
    Inputs:
        for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
            #pragma HLS UNROLL
            const unsigned index = indices[i * CONFIG_T::n_out + o].to_uint();
            sum += data[i] * table[group * CONFIG_T::n_entries + index];
        }
        res[o] = sum;
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void codebook_dense(hls::stream<data_T> &data, hls::stream<res_T> &res,
                    typename CONFIG_T::indices_t indices[CONFIG_T::n_in * CONFIG_T::n_out],
                    typename CONFIG_T::table_t table[CONFIG_T::n_groups * CONFIG_T::n_entries],
                    typename CONFIG_T::bias_t bias[CONFIG_T::n_out]) {
    typename data_T::value_type x[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=x complete
    read_tensor<data_T, CONFIG_T::n_in>(data, x);
    res_T y;
    codebook_dense<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(x, y.data, indices, table, bias);
    res.write(y);
}

} // namespace nnet

#endif
