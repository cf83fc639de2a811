#include "lrn/lrn_f32_impl.h"
