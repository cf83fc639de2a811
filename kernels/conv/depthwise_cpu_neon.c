#define DW_PIXELS 4
#include "depthwise_impl.h"
