#ifndef NNET_WINDOW_CONV_H_
#define NNET_WINDOW_CONV_H_

// A convolution with groups, with filters that several outputs share, and with padding in its
// stream: the operation Conv2d of a bitwright graph, where hls4ml's own will not do.

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_windows.h"

namespace nnet {

struct window_conv_config : window_config {
    static const unsigned n_filt = 1;   // outputs
    static const unsigned n_groups = 1; // of channels; a group of outputs sees one of them
    static const unsigned n_sums = 1;   // outputs that differ in their weights; others repeat them
    static const unsigned n_stored = 1; // weights, repeated where there are fewer than taps
};

// Adds one product. A weight of one unsigned bit means -1 or +1.
template <class sum_T, class data_T, class weight_T> void add_product(sum_T &sum, data_T x, weight_T w) {
    #pragma HLS INLINE
    sum += x * w;
}
template <class sum_T, class data_T> void add_product(sum_T &sum, data_T x, ap_uint<1> w) {
    #pragma HLS INLINE
    if (w == 1) {
        sum += x;
    } else {
        sum -= x;
    }
}

// res[o] = bias[o] + sum over i of window[i] * weight[i, o % n_sums], i counting the channels of the
// group, the rows and the columns. weight lies filter after filter. accum_t holds every partial sum.
template <class data_T, class res_T, typename CONFIG_T>
void sum_products(data_T window[window_sizes<CONFIG_T>::elements], res_T res[CONFIG_T::n_filt],
                  typename CONFIG_T::weight_t weight[CONFIG_T::n_stored],
                  typename CONFIG_T::bias_t bias[CONFIG_T::n_filt]) {
    #pragma HLS INLINE
    const unsigned taps = CONFIG_T::filt_height * CONFIG_T::filt_width;
    const unsigned channels = CONFIG_T::n_chan / CONFIG_T::n_groups;

    typename CONFIG_T::accum_t sum[CONFIG_T::n_sums];
    #pragma HLS ARRAY_PARTITION variable=sum complete

Sums:
    for (unsigned s = 0; s < CONFIG_T::n_sums; s++) {
        #pragma HLS UNROLL
        const unsigned group = s / (CONFIG_T::n_sums / CONFIG_T::n_groups);
        sum[s] = 0;
    Channels:
        for (unsigned c = 0; c < channels; c++) {
            #pragma HLS UNROLL
        Taps:
            for (unsigned t = 0; t < taps; t++) {
                #pragma HLS UNROLL
                const unsigned i = (s * channels + c) * taps + t;
                add_product(sum[s], window[t * CONFIG_T::n_chan + group * channels + c], weight[i % CONFIG_T::n_stored]);
            }
        }
    }
Outputs:
    for (unsigned o = 0; o < CONFIG_T::n_filt; o++) {
        #pragma HLS UNROLL
        res[o] = sum[o % CONFIG_T::n_sums] + bias[o];
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void window_conv(data_T data[CONFIG_T::in_height * CONFIG_T::in_width * CONFIG_T::n_chan],
                 res_T res[CONFIG_T::out_height * CONFIG_T::out_width * CONFIG_T::n_filt],
                 typename CONFIG_T::weight_t weight[CONFIG_T::n_stored],
                 typename CONFIG_T::bias_t bias[CONFIG_T::n_filt]) {
    #pragma HLS INLINE recursive
    #pragma HLS ARRAY_PARTITION variable=weight complete
    #pragma HLS ARRAY_PARTITION variable=bias complete

Pixels:
    for (unsigned i = 0; i < CONFIG_T::out_height * CONFIG_T::out_width; i++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor rewind
        data_T window[window_sizes<CONFIG_T>::elements];
        #pragma HLS ARRAY_PARTITION variable=window complete
        look<data_T, CONFIG_T>(data, window, i / CONFIG_T::out_width, i % CONFIG_T::out_width, 0);
        sum_products<data_T, res_T, CONFIG_T>(window, &res[i * CONFIG_T::n_filt], weight, bias);
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void window_conv(hls::stream<data_T> &data, hls::stream<res_T> &res,
                 typename CONFIG_T::weight_t weight[CONFIG_T::n_stored],
                 typename CONFIG_T::bias_t bias[CONFIG_T::n_filt]) {
    typedef window_sizes<CONFIG_T> sizes;
    #pragma HLS ARRAY_PARTITION variable=weight complete
    #pragma HLS ARRAY_PARTITION variable=bias complete
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
                sum_products<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(window, pixel.data, weight, bias);
                res.write(pixel);
            }
        }
    }
}

} // namespace nnet

#endif
