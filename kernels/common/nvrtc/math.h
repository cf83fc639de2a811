/* The functions of math.h are built into NVRTC; its macros are not. */
#ifndef INGOT_NVRTC_MATH_H
#define INGOT_NVRTC_MATH_H

#define INFINITY __int_as_float(0x7f800000)

#endif
