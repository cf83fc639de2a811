#include "reduce/reduce_s8_impl.h"
