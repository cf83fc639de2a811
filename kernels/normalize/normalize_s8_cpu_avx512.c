#include "normalize/normalize_s8_impl.h"
