#include "softmax/softmax_s8_impl.h"
