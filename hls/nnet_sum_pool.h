#ifndef NNET_SUM_POOL_H_
#define NNET_SUM_POOL_H_

// The sum of each channel over a window: the operation SumPool of a bitwright graph.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_windows.h"

namespace nnet {

struct sum_pool_config : window_config {};

// res[c] = sum over t of window[t, c]. res_T holds every partial sum.
template <class data_T, class res_T, typename CONFIG_T>
void sum_of_window(data_T window[window_sizes<CONFIG_T>::elements], res_T res[CONFIG_T::n_chan]) {
    #pragma HLS INLINE
Channels:
    for (unsigned c = 0; c < CONFIG_T::n_chan; c++) {
        #pragma HLS UNROLL
        res_T made = 0;
    Taps:
        for (unsigned t = 0; t < CONFIG_T::filt_height * CONFIG_T::filt_width; t++) {
            #pragma HLS UNROLL
            made += window[t * CONFIG_T::n_chan + c];
        }
        res[c] = made;
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void sum_pool(data_T data[CONFIG_T::in_height * CONFIG_T::in_width * CONFIG_T::n_chan],
              res_T res[CONFIG_T::out_height * CONFIG_T::out_width * CONFIG_T::n_chan]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor

Pixels:
    for (unsigned i = 0; i < CONFIG_T::out_height * CONFIG_T::out_width; i++) {
        #pragma HLS UNROLL
        data_T window[window_sizes<CONFIG_T>::elements];
        #pragma HLS ARRAY_PARTITION variable=window complete
        look<data_T, CONFIG_T>(data, window, i / CONFIG_T::out_width, i % CONFIG_T::out_width, 0);
        sum_of_window<data_T, res_T, CONFIG_T>(window, &res[i * CONFIG_T::n_chan]);
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void sum_pool(hls::stream<data_T> &data, hls::stream<res_T> &res) {
    typedef window_sizes<CONFIG_T> sizes;
    typename data_T::value_type lines[sizes::lines][sizes::width][CONFIG_T::n_chan];
    #pragma HLS ARRAY_PARTITION variable=lines complete dim=1
    #pragma HLS ARRAY_PARTITION variable=lines complete dim=3
    typename data_T::value_type window[sizes::elements];
    #pragma HLS ARRAY_PARTITION variable=window complete

Rows:
    for (unsigned y = 0; y < sizes::height; y++) {
    Columns:
        for (unsigned x = 0; x < sizes::width; x++) {
            #pragma HLS LOOP_FLATTEN
            #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
            if (look_on<data_T, CONFIG_T>(data, lines, window, y, x, 0)) {
                res_T pixel;
                sum_of_window<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(window, pixel.data);
                res.write(pixel);
            }
        }
    }
}

} // namespace nnet

#endif
