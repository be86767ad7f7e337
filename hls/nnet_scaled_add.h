#ifndef NNET_SCALED_ADD_H_
#define NNET_SCALED_ADD_H_

// Two tensors of one shape, scaled and added: the operation Add of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct scaled_add_config {
    static const unsigned n_in = 10; // elements of one tensor
    static const unsigned reuse_factor = 1;
};

// res[i] = factors[0] * data1[i] + factors[1] * data2[i].
template <class data1_T, class data2_T, class res_T, typename CONFIG_T>
void scaled_add(data1_T data1[CONFIG_T::n_in], data2_T data2[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
                typename CONFIG_T::factors_t factors[2]) {
    #pragma HLS function_instantiate variable=factors
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=factors complete

Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        res[i] = factors[0] * data1[i] + factors[1] * data2[i];
    }
}

template <class data1_T, class data2_T, class res_T, typename CONFIG_T>
void scaled_add(hls::stream<data1_T> &data1, hls::stream<data2_T> &data2, hls::stream<res_T> &res,
                typename CONFIG_T::factors_t factors[2]) {
Pixels:
    for (unsigned i = 0; i < CONFIG_T::n_in / res_T::size; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        data1_T x1 = data1.read();
        data2_T x2 = data2.read();
        res_T y;
        scaled_add<typename data1_T::value_type, typename data2_T::value_type, typename res_T::value_type,
                   pixel_config<res_T::size, CONFIG_T>>(x1.data, x2.data, y.data, factors);
        res.write(y);
    }
}

} // namespace nnet

#endif
