#include "depthwise_tile_impl.h"
