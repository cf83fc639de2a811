#include "winograd_impl.h"
