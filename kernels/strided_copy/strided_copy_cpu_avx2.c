/* strided_copy with 8 x 8 blocks for the transposes of 4-byte elements. */
#include "strided_copy/strided_copy_impl.h"
