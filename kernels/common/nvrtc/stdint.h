/* NVRTC has no standard headers: what the kernels and the headers that they share with C need of this one. */
#ifndef INGOT_NVRTC_STDINT_H
#define INGOT_NVRTC_STDINT_H

typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;

#define INT32_MAX 2147483647
#define INT64_MAX 9223372036854775807ll
#define UINT64_MAX 18446744073709551615ull

#endif
