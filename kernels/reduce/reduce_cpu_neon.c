#include "reduce/reduce_f32_impl.h"
