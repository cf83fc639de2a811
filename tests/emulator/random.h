/* Numbers that depend on a seed alone (splitmix64). */
#ifndef INGOT_EMULATOR_RANDOM_H
#define INGOT_EMULATOR_RANDOM_H

#include <stdint.h>

class random_bits {
  public:
    void seed(uint64_t value) { state = value; }
    uint32_t next() {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return (uint32_t)(z >> 32 ^ z >> 1);
    }
    /* In [0, n). */
    uint32_t below(uint32_t n) { return (uint32_t)((uint64_t)next() * n >> 32); }

  private:
    uint64_t state = 0;
};

#endif
