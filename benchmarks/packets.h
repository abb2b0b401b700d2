/*
 * Numbers and checksums in packets, for the plain C loops that iochain is held against.
 */
#include <stdint.h>
#include <string.h>

static inline uint16_t load16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline void store16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }

static inline uint32_t load32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

static inline void store32(uint8_t *at, uint32_t value) {
    value = __builtin_bswap32(value);
    memcpy(at, &value, 4);
}

/* The ones' complement sum in the order of memory, not folded. */
static inline uint64_t sum(const uint8_t *at, int64_t count) {
    uint64_t result = 0;
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        uint32_t word;
        memcpy(&word, at + i, 4);
        result += word;
    }
    if (count & 2) {
        uint16_t word;
        memcpy(&word, at + i, 2);
        result += word, i += 2;
    }
    if (count & 1) result += at[i];
    return result;
}

static inline uint32_t folded(uint64_t value) {
    while (value >> 16) value = (value & 0xffff) + (value >> 16);
    return (uint32_t)value;
}

/* Write the checksum that a sum makes. */
static inline void store_sum(uint8_t *at, uint64_t value) {
    uint16_t checksum = (uint16_t)~folded(value);
    memcpy(at, &checksum, 2);
}
