#include "arg_reduce/arg_reduce_f32_impl.h"
