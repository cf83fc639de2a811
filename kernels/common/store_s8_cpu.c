#include "store_s8_impl.h"
