#ifndef NNET_PIXELS_H_
#define NNET_PIXELS_H_

// What the layers of bitwright share to read a stream: one vector of channels after another.

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

// A layer's configuration for one vector of N channels.
template <unsigned N, typename CONFIG_T> struct pixel_config : CONFIG_T {
    static const unsigned n_in = N;
};

// A whole tensor of N elements, taken from a stream of vectors of any size.
template <class data_T, unsigned N>
void read_tensor(hls::stream<data_T> &data, typename data_T::value_type tensor[N]) {
    #pragma HLS INLINE
Vectors:
    for (unsigned i = 0; i < N / data_T::size; i++) {
        #pragma HLS PIPELINE
        data_T vector = data.read();
    Channels:
        for (unsigned c = 0; c < data_T::size; c++) {
            #pragma HLS UNROLL
            tensor[i * data_T::size + c] = vector[c];
        }
    }
}

} // namespace nnet

#endif
