#include "activation_impl.h"
