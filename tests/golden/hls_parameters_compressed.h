#ifndef PARAMETERS_H_
#define PARAMETERS_H_

#include "ap_fixed.h"
#include "ap_int.h"

#include "nnet_utils/nnet_code_gen.h"
#include "nnet_utils/nnet_helpers.h"
// hls-fpga-machine-learning insert includes
#include "nnet_utils/nnet_bit_planes.h"
#include "nnet_utils/nnet_codebook_dense.h"
#include "nnet_utils/nnet_lookup.h"
#include "nnet_utils/nnet_tiled_dense.h"

// hls-fpga-machine-learning insert weights
#include "weights/planes2.h"
#include "weights/table3.h"
#include "weights/tile4.h"
#include "weights/bias4.h"
#include "weights/indices5.h"
#include "weights/table5.h"
#include "weights/bias5.h"


// hls-fpga-machine-learning insert layer-config
// planes
struct config2 : nnet::bit_planes_config {
    static const unsigned n_in = 2;
    static const unsigned n_planes = 2;
    static const unsigned reuse_factor = 1;
    typedef planes_planes_t planes_t;
};

// values
struct config3 : nnet::lookup_config {
    static const unsigned n_in = 2;
    static const unsigned n_channels = 1;
    static const unsigned n_entries = 4;
    static const unsigned offset = 0;
    static const unsigned reuse_factor = 1;
    typedef values_table_t table_t;
    typedef values_index_t index_t;
};

// tiled
struct config4 : nnet::tiled_dense_config {
    static const unsigned n_in = 2;
    static const unsigned n_out = 6;
    static const unsigned n_tile = 3;
    static const unsigned n_rows = 3;
    static const unsigned reuse_factor = 1;
    typedef tiled_tile_t tile_t;
    typedef tiled_bias_t bias_t;
    typedef tiled_accum_t accum_t;
};

// out
struct config5 : nnet::codebook_dense_config {
    static const unsigned n_in = 6;
    static const unsigned n_out = 2;
    static const unsigned n_groups = 1;
    static const unsigned n_entries = 3;
    static const unsigned reuse_factor = 1;
    typedef out_indices_t indices_t;
    typedef out_table_t table_t;
    typedef out_bias_t bias_t;
    typedef out_accum_t accum_t;
};



#endif
