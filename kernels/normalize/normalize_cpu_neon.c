#include "normalize/normalize_f32_impl.h"
