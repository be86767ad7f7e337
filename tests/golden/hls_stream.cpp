#include <iostream>

#include "residual_hls.h"
#include "parameters.h"


void residual_hls(
    hls::stream<input_t> &x_in,
    hls::stream<result_t> &layer5_out
) {

    // hls-fpga-machine-learning insert IO
    #pragma HLS INTERFACE axis port=x_in,layer5_out 
    #pragma HLS DATAFLOW

    // hls-fpga-machine-learning insert load weights
#ifndef __SYNTHESIS__
    static bool loaded_weights = false;
    if (!loaded_weights) {
        nnet::load_weights_from_txt<conv_weight_t, 9>(w2, "w2.txt");
        nnet::load_weights_from_txt<conv_bias_t, 1>(b2, "b2.txt");
        nnet::load_weights_from_txt<y_weight_t, 4>(w5, "w5.txt");
        nnet::load_weights_from_txt<y_bias_t, 1>(b5, "b5.txt");
        loaded_weights = true;    }
#endif
    // ****************************************
    // NETWORK INSTANTIATION
    // ****************************************

    // hls-fpga-machine-learning insert layers

    hls::stream<input_t> layer6_cpy1("layer6_cpy1");
    #pragma HLS STREAM variable=layer6_cpy1 depth=4

    hls::stream<input_t> layer6_cpy2("layer6_cpy2");
    #pragma HLS STREAM variable=layer6_cpy2 depth=4

    hls::stream<layer7_t> layer7_out("layer7_out");
    #pragma HLS STREAM variable=layer7_out depth=16

    hls::stream<layer2_t> layer2_out("layer2_out");
    #pragma HLS STREAM variable=layer2_out depth=4

    hls::stream<layer3_t> layer3_out("layer3_out");
    #pragma HLS STREAM variable=layer3_out depth=4

    auto& layer4_out = layer3_out;
    nnet::clone_stream<input_t, input_t, 4>(x_in, layer6_cpy1, layer6_cpy2); // clone_x_in

    nnet::zeropad2d_cl<input_t, layer7_t, config7>(layer6_cpy1, layer7_out); // zp2d_conv

    nnet::conv_2d_cl<layer7_t, layer2_t, config2>(layer7_out, layer2_out, w2, b2); // conv
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer2_t>(layer2_out, "conv", 2*2*1);
#endif

    nnet::add<input_t, layer2_t, layer3_t, config3>(layer6_cpy2, layer2_out, layer3_out); // total
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer3_t>(layer3_out, "total", 2*2*1);
#endif

    // layer4_out is layer3_out // flat
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer3_t>(layer4_out, "flat", 4);
#endif

    nnet::dense<layer3_t, result_t, config5>(layer4_out, layer5_out, w5, b5); // y
#ifndef __SYNTHESIS__
    nnet::save_layer_output<result_t>(layer5_out, "y", 1);
#endif

}

