#ifndef NNET_BIT_PLANES_H_
#define NNET_BIT_PLANES_H_

// Some of the bits of every element, side by side: the operation BitPlanes of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_pixels.h"

namespace nnet {

struct bit_planes_config {
    static const unsigned n_in = 10;    // elements of the tensor
    static const unsigned n_planes = 1; // bits of an element that go on
    static const unsigned reuse_factor = 1;
};

// Bit j of res[i] is bit planes[j] of data[i]. Wiring: what is not selected ends here.
template <class data_T, class res_T, typename CONFIG_T>
void bit_planes(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
                typename CONFIG_T::planes_t planes[CONFIG_T::n_planes]) {
    #pragma HLS function_instantiate variable=planes
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=planes complete

Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        ap_uint<CONFIG_T::n_planes> bits = 0;
    Planes:
        for (unsigned j = 0; j < CONFIG_T::n_planes; j++) {
            #pragma HLS UNROLL
            bits[j] = (bool)data[i][planes[j].to_uint()];
        }
        res[i] = bits;
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void bit_planes(hls::stream<data_T> &data, hls::stream<res_T> &res,
                typename CONFIG_T::planes_t planes[CONFIG_T::n_planes]) {
Pixels:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        data_T x = data.read();
        res_T y;
        bit_planes<typename data_T::value_type, typename res_T::value_type, pixel_config<data_T::size, CONFIG_T>>(
            x.data, y.data, planes);
        res.write(y);
    }
}

} // namespace nnet

#endif
