#include <iostream>

#include "net_hls.h"
#include "parameters.h"


void net_hls(
    input_t x_in[2],
    result_t layer5_out[2]
) {

    // hls-fpga-machine-learning insert IO
    #pragma HLS ARRAY_RESHAPE variable=x_in complete dim=0
    #pragma HLS ARRAY_PARTITION variable=layer5_out complete dim=0
    #pragma HLS INTERFACE ap_vld port=x_in,layer5_out 
    #pragma HLS PIPELINE

    // hls-fpga-machine-learning insert load weights
#ifndef __SYNTHESIS__
    static bool loaded_weights = false;
    if (!loaded_weights) {
        nnet::load_weights_from_txt<fc1_weight_t, 6>(w2, "w2.txt");
        nnet::load_weights_from_txt<fc1_bias_t, 3>(b2, "b2.txt");
        nnet::load_weights_from_txt<act1_multiplier_t, 3>(multiplier3, "multiplier3.txt");
        nnet::load_weights_from_txt<act1_bias_t, 3>(bias3, "bias3.txt");
        nnet::load_weights_from_txt<act2_thresholds_t, 9>(thresholds4, "thresholds4.txt");
        nnet::load_weights_from_txt<act2_base_t, 3>(base4, "base4.txt");
        nnet::load_weights_from_txt<act2_step_t, 3>(step4, "step4.txt");
        nnet::load_weights_from_txt<weight5_t, 6>(w5, "w5.txt");
        nnet::load_weights_from_txt<out_bias_t, 2>(b5, "b5.txt");
        loaded_weights = true;    }
#endif
    // ****************************************
    // NETWORK INSTANTIATION
    // ****************************************

    // hls-fpga-machine-learning insert layers

    layer2_t layer2_out[3];
    #pragma HLS ARRAY_PARTITION variable=layer2_out complete dim=0

    layer3_t layer3_out[3];
    #pragma HLS ARRAY_PARTITION variable=layer3_out complete dim=0

    layer4_t layer4_out[3];
    #pragma HLS ARRAY_PARTITION variable=layer4_out complete dim=0

    nnet::dense<input_t, layer2_t, config2>(x_in, layer2_out, w2, b2); // fc1
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer2_t>(layer2_out, "fc1", 3);
#endif

    nnet::requantize<layer2_t, layer3_t, config3>(layer2_out, layer3_out, multiplier3, bias3); // act1
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer3_t>(layer3_out, "act1", 3);
#endif

    nnet::threshold<layer3_t, layer4_t, config4>(layer3_out, layer4_out, thresholds4, base4, step4); // act2
#ifndef __SYNTHESIS__
    nnet::save_layer_output<layer4_t>(layer4_out, "act2", 3);
#endif

    nnet::dense<layer4_t, result_t, config5>(layer4_out, layer5_out, w5, b5); // out
#ifndef __SYNTHESIS__
    nnet::save_layer_output<result_t>(layer5_out, "out", 2);
#endif

}

