#ifndef NNET_RESHAPE_H_
#define NNET_RESHAPE_H_

// The same elements under another shape: the operation Reshape of a bitwright graph.

#include "nnet_pixels.h"
#include "nnet_stream.h"

namespace nnet {

struct reshape_config {
    static const unsigned n_in = 10; // elements of the tensor
    static const unsigned reuse_factor = 1;
};

template <class data_T, class res_T, typename CONFIG_T>
void reshape(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor

Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        res[i] = data[i];
    }
}

// Whole vectors at a time where one size divides the other; element by element elsewhere.
template <class data_T, class res_T, typename CONFIG_T>
void reshape(hls::stream<data_T> &data, hls::stream<res_T> &res) {
    if (data_T::size % res_T::size == 0 || res_T::size % data_T::size == 0) {
        repack_stream<data_T, res_T, CONFIG_T::n_in>(data, res);
        return;
    }
    data_T x;
    res_T y;
    unsigned taken = 0, given = 0;
Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS PIPELINE
        if (taken == 0) {
            x = data.read();
        }
        y[given] = x[taken];
        taken = taken == data_T::size - 1 ? 0 : taken + 1;
        given = given == res_T::size - 1 ? 0 : given + 1;
        if (given == 0) {
            res.write(y);
        }
    }
}

} // namespace nnet

#endif
