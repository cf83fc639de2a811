/* size_t is built into NVRTC. */
#ifndef NULL
#define NULL 0
#endif
