/* memcpy, memset and size_t are built into NVRTC. */
