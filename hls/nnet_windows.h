#ifndef NNET_WINDOWS_H_
#define NNET_WINDOWS_H_

// What the layers of bitwright share to look at an image through a window, which may see past its
// edges. A window's elements are ordered (row, column, channel), the channel fastest.

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

struct window_config {
    static const unsigned in_height = 10;
    static const unsigned in_width = 10;
    static const unsigned n_chan = 1;
    static const unsigned out_height = 10;
    static const unsigned out_width = 10;
    static const unsigned filt_height = 1;
    static const unsigned filt_width = 1;
    static const unsigned stride_height = 1;
    static const unsigned stride_width = 1;
    static const unsigned pad_top = 0;
    static const unsigned pad_bottom = 0;
    static const unsigned pad_left = 0;
    static const unsigned pad_right = 0;
    static const unsigned reuse_factor = 1;
};

// Sizes that follow from a layer's configuration.
template <typename CONFIG_T> struct window_sizes {
    static const unsigned height = CONFIG_T::pad_top + CONFIG_T::in_height + CONFIG_T::pad_bottom;
    static const unsigned width = CONFIG_T::pad_left + CONFIG_T::in_width + CONFIG_T::pad_right;
    static const unsigned elements = CONFIG_T::filt_height * CONFIG_T::filt_width * CONFIG_T::n_chan;
    static const unsigned lines = CONFIG_T::filt_height > 1 ? CONFIG_T::filt_height - 1 : 1;
};

// Whether a place of the padded image is one of the image. Below zero is far above, unsigned.
template <typename CONFIG_T> bool is_inside(unsigned row, unsigned column) {
    #pragma HLS INLINE
    return row - CONFIG_T::pad_top < CONFIG_T::in_height && column - CONFIG_T::pad_left < CONFIG_T::in_width;
}

// What output (row, column) sees of an image that is there at once.
template <class T, typename CONFIG_T>
void look(T image[CONFIG_T::in_height * CONFIG_T::in_width * CONFIG_T::n_chan],
          T window[window_sizes<CONFIG_T>::elements], unsigned row, unsigned column, T outside) {
    #pragma HLS INLINE
Rows:
    for (unsigned r = 0; r < CONFIG_T::filt_height; r++) {
        #pragma HLS UNROLL
    Columns:
        for (unsigned k = 0; k < CONFIG_T::filt_width; k++) {
            #pragma HLS UNROLL
            const unsigned y = row * CONFIG_T::stride_height + r;
            const unsigned x = column * CONFIG_T::stride_width + k;
        Channels:
            for (unsigned c = 0; c < CONFIG_T::n_chan; c++) {
                #pragma HLS UNROLL
                T element = outside;
                if (is_inside<CONFIG_T>(y, x)) {
                    element = image[((y - CONFIG_T::pad_top) * CONFIG_T::in_width + x - CONFIG_T::pad_left) * CONFIG_T::n_chan + c];
                }
                window[(r * CONFIG_T::filt_width + k) * CONFIG_T::n_chan + c] = element;
            }
        }
    }
}

// Takes the next pixel of the padded image into the window. `lines` keeps the rows above it. Every
// pixel of the image is read, also what no window sees. Returns whether this window is an output's.
template <class data_T, typename CONFIG_T>
bool look_on(hls::stream<data_T> &data,
             typename data_T::value_type lines[window_sizes<CONFIG_T>::lines][window_sizes<CONFIG_T>::width][CONFIG_T::n_chan],
             typename data_T::value_type window[window_sizes<CONFIG_T>::elements], unsigned y, unsigned x,
             typename data_T::value_type outside) {
    #pragma HLS INLINE
    const unsigned last_row = CONFIG_T::filt_height - 1, last_column = CONFIG_T::filt_width - 1;
    const unsigned row_size = CONFIG_T::filt_width * CONFIG_T::n_chan;
    const bool inside = is_inside<CONFIG_T>(y, x);
    data_T pixel;
    if (inside) {
        pixel = data.read();
    }
Channels:
    for (unsigned c = 0; c < CONFIG_T::n_chan; c++) {
        #pragma HLS UNROLL
        typename data_T::value_type fresh = outside;
        if (inside) {
            fresh = pixel[c];
        }
    Rows:
        for (unsigned r = 0; r < CONFIG_T::filt_height; r++) {
            #pragma HLS UNROLL
        Columns:
            for (unsigned k = 0; k < last_column; k++) {
                #pragma HLS UNROLL
                window[r * row_size + k * CONFIG_T::n_chan + c] = window[r * row_size + (k + 1) * CONFIG_T::n_chan + c];
            }
            typename data_T::value_type newest = fresh;
            if (r < last_row) {
                newest = lines[r][x][c];
            }
            window[r * row_size + last_column * CONFIG_T::n_chan + c] = newest;
        }
    Lines:
        for (unsigned r = 0; r < last_row; r++) {
            #pragma HLS UNROLL
            // The window's newest column holds what the lines held here: each moves one row up.
            lines[r][x][c] = window[(r + 1) * row_size + last_column * CONFIG_T::n_chan + c];
        }
    }
    return y >= last_row && x >= last_column && (y - last_row) % CONFIG_T::stride_height == 0 &&
           (x - last_column) % CONFIG_T::stride_width == 0;
}

} // namespace nnet

#endif
