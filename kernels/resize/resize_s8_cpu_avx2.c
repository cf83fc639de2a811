#include "resize/resize_s8_impl.h"
