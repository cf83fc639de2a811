#include "softmax/softmax_f32_impl.h"
