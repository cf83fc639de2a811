/* Ed25519: the vectors of RFC 8032 (section 7.1), every kind of forgery that a lax verifier takes. */
#include "check.h"
#include "ed25519.h"
#include "sha512.h"

typedef struct vector {
    const char *key, *message, *signature;
} vector;

static const vector good[] = {
    {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
     "655141438e7a100b"},
    {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
     "b00d291612bb0c00"},
    {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
     "c027beceea1ec40a"},
    {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e"
     "2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17a"
     "d9bef1177331a704"},
};

static int verify_hex(const char *key_hex, const char *message_hex, const char *signature_hex) {
    uint8_t key[32], message[64], signature[64];
    CHECK(from_hex(key, 32, key_hex) == 32);
    CHECK(from_hex(signature, 64, signature_hex) == 64);
    return ingot_ed25519_verify(key, message, from_hex(message, sizeof message, message_hex), signature);
}

static void sha512_vectors(void) {
    uint8_t digest[64], expected[64];
    from_hex(expected, 64, good[3].message); /* of "abc" */
    ingot_sha512(&(ingot_bytes){(const uint8_t *)"abc", 3}, 1, digest);
    CHECK(memcmp(digest, expected, 64) == 0);
    uint8_t data[400];
    fill(data, sizeof data, 2);
    for (size_t n = 0; n < sizeof data; n += 3) { /* parts joined are the whole, across every padding */
        const ingot_bytes parts[3] = {{data, n / 3}, {data + n / 3, 0}, {data + n / 3, n - n / 3}};
        ingot_sha512(&(ingot_bytes){data, n}, 1, expected);
        ingot_sha512(parts, 3, digest);
        CHECK(memcmp(digest, expected, 64) == 0);
    }
}

/* A message of 1023 bytes, byte i being 7 i; the key pair is that of the RFC's test 1024. Checked with OpenSSL. */
static void long_message(void) {
    uint8_t key[32], message[1023], signature[64];
    from_hex(key, 32, "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e");
    from_hex(signature, 64,
             "75925a004d3a26308df95fdf0f8183644323abecf2f9cb5fdea867dc99b8c759c7b95510157cc977e94870ad279deab8a56bb1ba"
             "41a1a3acf65d68ba650c8707");
    for (size_t i = 0; i < sizeof message; ++i) {
        message[i] = (uint8_t)(7 * i);
    }
    CHECK(ingot_ed25519_verify(key, message, sizeof message, signature));
    CHECK(!ingot_ed25519_verify(key, message, sizeof message - 1, signature));
    message[1022] ^= 1;
    CHECK(!ingot_ed25519_verify(key, message, sizeof message, signature));
}

static void one_bit_spoils(void) {
    uint8_t key[32], message[1], signature[64];
    from_hex(key, 32, good[1].key);
    from_hex(message, 1, good[1].message);
    from_hex(signature, 64, good[1].signature);
    for (int bit = 0; bit < 512; bit += 5) {
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(!ingot_ed25519_verify(key, message, 1, signature));
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (int bit = 0; bit < 256; bit += 5) {
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(!ingot_ed25519_verify(key, message, 1, signature));
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK(ingot_ed25519_verify(key, message, 1, signature));
}

static void forgeries(void) {
    /* The second vector with the group's order added to S: the same equation, another signature. */
    CHECK(!verify_hex(good[1].key, "72",
                      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                      "f52db7415978abc61b2c2eb6aeebfca0387b2eaeb4302aeeb00d291612bb0c10"));
    /* With the neutral point (0, 1) as the key, R = 5 B and S = 5 satisfy the equation for every message ... */
    const char *const five = "edc876d6831fd2105d0b4389ca2e283166469289146e2ce06faefe98b22548df"
                             "0500000000000000000000000000000000000000000000000000000000000000";
    CHECK(verify_hex("0100000000000000000000000000000000000000000000000000000000000000", "aa", five));
    /* ... but its other encodings, y = p + 1 and a negative zero for x, are refused, */
    CHECK(!verify_hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "aa", five));
    CHECK(!verify_hex("0100000000000000000000000000000000000000000000000000000000000080", "aa", five));
    /* as is such an R, where S = 0. */
    CHECK(verify_hex("0100000000000000000000000000000000000000000000000000000000000000", "aa",
                     "0100000000000000000000000000000000000000000000000000000000000000"
                     "0000000000000000000000000000000000000000000000000000000000000000"));
    CHECK(!verify_hex("0100000000000000000000000000000000000000000000000000000000000000", "aa",
                      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
                      "0000000000000000000000000000000000000000000000000000000000000000"));
    /* y = 2 is on no point of the curve. */
    CHECK(!verify_hex("0200000000000000000000000000000000000000000000000000000000000000", "aa", five));
}

int main(void) {
    sha512_vectors();
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        CHECK(verify_hex(good[i].key, good[i].message, good[i].signature));
        CHECK(!verify_hex(good[i].key, "0102", good[i].signature));
    }
    long_message();
    one_bit_spoils();
    forgeries();
    return 0;
}
