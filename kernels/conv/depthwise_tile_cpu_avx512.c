#define DW_MASKS 1
#include "depthwise_tile_impl.h"
