#ifndef DEFINES_H_
#define DEFINES_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "nnet_utils/nnet_types.h"
#include <array>
#include <cstddef>
#include <cstdio>
#include <tuple>
#include <tuple>


// hls-fpga-machine-learning insert numbers

// hls-fpga-machine-learning insert layer-precision
typedef ap_fixed<4,4> input_t;
typedef ap_fixed<7,7> fc1_accum_t;
typedef ap_fixed<7,7> layer2_t;
typedef ap_fixed<3,3> fc1_weight_t;
typedef ap_fixed<4,4> fc1_bias_t;
typedef ap_uint<1> layer2_index;
typedef ap_int<8> act1_accum_t;
typedef ap_fixed<4,4,AP_RND_CONV,AP_SAT_SYM,0> layer3_t;
typedef ap_int<3> act1_multiplier_t;
typedef ap_int<5> act1_bias_t;
typedef ap_uint<2> act2_accum_t;
typedef ap_ufixed<2,2> layer4_t;
typedef ap_int<3> act2_thresholds_t;
typedef ap_uint<2> act2_base_t;
typedef ap_int<2> act2_step_t;
typedef ap_fixed<4,4> out_accum_t;
typedef ap_fixed<5,5> result_t;
typedef ap_uint<1> weight5_t;
typedef ap_ufixed<1,1> out_bias_t;
typedef ap_uint<1> layer5_index;

// hls-fpga-machine-learning insert emulator-defines


#endif
