#include "pool/pool_s8_impl.h"
