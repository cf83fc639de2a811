#define DW_MASKS 1
#define DW_PIXELS 8
#include "depthwise_impl.h"
