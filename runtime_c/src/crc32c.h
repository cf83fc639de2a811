/* CRC-32C (Castagnoli), as iSCSI and ext4 use it. */
#ifndef INGOT_CRC32C_H
#define INGOT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `n` bytes that follow bytes whose checksum is `crc`; 0 when nothing precedes them. So
 * crc(crc(0, a), b) is that of a and b joined. "123456789" gives 0xe3069283. */
uint32_t ingot_crc32c(uint32_t crc, const void *data, size_t n);

/* The same from tables alone: what processors without the instruction do, and what tests compare with. */
uint32_t ingot_crc32c_portable(uint32_t crc, const void *data, size_t n);

/* The same of `blocks` blocks, at least one, on a processor with INGOT_CPU_VPCLMULQDQ. */
enum { INGOT_CRC32C_BLOCK = 512 };
uint32_t ingot_crc32c_fold(uint32_t crc, const uint8_t *data, size_t blocks);

#endif
