/* CRC-32C and SHA-256: published vectors, and the fast paths against the portable ones. */
#include "check.h"
#include "crc32c.h"
#include "isa.h"
#include "sha256.h"

enum { BIG = 3 * 8192 * 2 + 8192 + 13 };
static uint8_t big[BIG + 16];

static void crc_vectors(void) {
    static const uint8_t zeros[32];
    uint8_t ones[32], ascending[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; ++i) {
        ascending[i] = (uint8_t)i;
    }
    CHECK(ingot_crc32c(0, "123456789", 9) == 0xe3069283);
    CHECK(ingot_crc32c(0, zeros, 32) == 0x8a9136aa); /* RFC 3720, appendix B.4 */
    CHECK(ingot_crc32c(0, ones, 32) == 0x62a8ab43);
    CHECK(ingot_crc32c(0, ascending, 32) == 0x46dd794e);
    CHECK(ingot_crc32c_portable(0, ascending, 32) == 0x46dd794e);
    CHECK(ingot_crc32c(0, NULL, 0) == 0);
    CHECK(ingot_crc32c(0x12345678, NULL, 0) == 0x12345678);
}

static void crc_paths_agree(void) {
    for (size_t offset = 0; offset < 9; ++offset) {
        for (size_t n = 0; n < 70; ++n) {
            CHECK(ingot_crc32c(7, big + offset, n) == ingot_crc32c_portable(7, big + offset, n));
        }
        for (size_t n = 3 * 8192 - 9; n < 3 * 8192 + 9; ++n) {
            CHECK(ingot_crc32c(0, big + offset, n) == ingot_crc32c_portable(0, big + offset, n));
        }
        CHECK(ingot_crc32c(0, big + offset, BIG) == ingot_crc32c_portable(0, big + offset, BIG));
    }
    /* Around whole blocks of the products, one and more, wherever they begin. */
    for (size_t offset = 0; offset < 16; ++offset) {
        for (size_t n = 2 * INGOT_CRC32C_BLOCK - 70; n < 5 * INGOT_CRC32C_BLOCK + 2; n += offset ? 13 : 1) {
            CHECK(ingot_crc32c(~7U, big + offset, n) == ingot_crc32c_portable(~7U, big + offset, n));
        }
    }
    const uint32_t whole = ingot_crc32c(0, big, BIG);
    CHECK(ingot_crc32c_portable(0, big, BIG) == whole);
    for (size_t cut = 0; cut < 3 * INGOT_CRC32C_BLOCK; ++cut) {
        CHECK(ingot_crc32c(ingot_crc32c(0, big, cut), big + cut, BIG - cut) == whole);
    }
    for (size_t cut = 0; cut <= BIG; cut += 977) {
        CHECK(ingot_crc32c(ingot_crc32c(0, big, cut), big + cut, BIG - cut) == whole);
    }
}

/* The other paths of this processor, which ingot_crc32c takes for other lengths or not at all. */
static void crc_folds(void) {
#if defined(__x86_64__)
    for (size_t blocks = 1; ingot_cpu_has(INGOT_CPU_VPCLMULQDQ) && blocks < 40; ++blocks) {
        const size_t n = blocks * INGOT_CRC32C_BLOCK;
        for (size_t offset = 0; offset < 65; ++offset) {
            CHECK(ingot_crc32c_fold(9, big + offset, blocks) == ingot_crc32c_portable(9, big + offset, n));
        }
    }
#endif
}

static void sha_vector(const void *data, size_t n, const char *hex) {
    uint8_t expected[32], digest[32];
    CHECK(from_hex(expected, 32, hex) == 32);
    ingot_sha256(data, n, digest);
    CHECK(memcmp(digest, expected, 32) == 0);
}

static void sha_vectors(void) {
    sha_vector("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha_vector("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha_vector("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    ingot_sha256_stream stream;
    uint8_t thousand[1000], expected[32], digest[32];
    memset(thousand, 'a', sizeof thousand);
    ingot_sha256_init(&stream);
    for (int i = 0; i < 1000; ++i) {
        ingot_sha256_update(&stream, thousand, sizeof thousand);
    }
    ingot_sha256_final(&stream, digest);
    from_hex(expected, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    CHECK(memcmp(digest, expected, 32) == 0);
}

static void sha_paths_agree(void) {
    for (size_t n = 0; n < 260; ++n) {
        uint8_t whole[32], pieces[32];
        ingot_sha256(big + 1, n, whole);
        for (size_t step = 1; step < 140; step += 23) {
            ingot_sha256_stream stream;
            ingot_sha256_init(&stream);
            for (size_t done = 0; done < n; done += step) {
                ingot_sha256_update(&stream, big + 1 + done, n - done < step ? n - done : step);
            }
            ingot_sha256_update(&stream, NULL, 0);
            ingot_sha256_final(&stream, pieces);
            CHECK(memcmp(whole, pieces, 32) == 0);
        }
    }
    ingot_sha256_stream fast, slow;
    ingot_sha256_init(&fast);
    ingot_sha256_init(&slow);
    ingot_sha256_update(&fast, big + 3, 64 * 11);
    ingot_sha256_blocks_portable(slow.state, big + 3, 11);
    CHECK(memcmp(fast.state, slow.state, sizeof slow.state) == 0);
}

int main(void) {
    fill(big, sizeof big, 1);
    crc_vectors();
    crc_paths_agree();
    crc_folds();
    sha_vectors();
    sha_paths_agree();
    return 0;
}
