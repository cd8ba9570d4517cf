/* The finaliser of MurmurHash3: every input bit reaches every output bit. */
#ifndef ORFEVRE_MIX_H
#define ORFEVRE_MIX_H

#include <stdint.h>

static inline uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 33;
    h *= UINT64_C(0xC4CEB9FE1A85EC53);
    return h ^ (h >> 33);
}

#endif
