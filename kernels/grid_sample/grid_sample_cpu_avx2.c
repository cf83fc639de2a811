/* grid_sample for this instruction set. */
#include "grid_sample/grid_sample_body.h"
