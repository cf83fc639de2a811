/* resize for this instruction set. */
#include "resize/resize_body.h"
