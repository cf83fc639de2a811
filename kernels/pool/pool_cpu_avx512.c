#include "pool/pool_f32_impl.h"
