#include "recurrent/recurrent_impl.h"
