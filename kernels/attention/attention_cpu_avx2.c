#include "attention/attention_impl.h"
