#define DW_PIXELS 8
#include "depthwise_impl.h"
