/*
 * What segmentation and checksum fill cost at least: plain loops over TCP frames of IPv4 without options or tags.
 *
 * Frames lie one behind the other; lengths and offsets are given. Both write all bytes anew, and give how many.
 */
#include "packets.h"

enum { IP = 14, TCP = 34, FIN_PSH = 0x09, CWR = 0x80 };

static void sum_tcp(uint8_t *frame, int64_t length) {
    uint8_t behind[4] = {0, 6, 0, 0};
    store16(behind + 2, (uint32_t)(length - TCP));
    store16(frame + TCP + 16, 0);
    store_sum(frame + TCP + 16, sum(frame + IP + 12, 8) + sum(behind, 4) + sum(frame + TCP, length - TCP));
}

int64_t segment(const uint8_t *frames, const int64_t *lengths, int64_t count, int64_t mss, uint8_t *out) {
    uint8_t *begin = out;
    for (int64_t i = 0; i < count; frames += lengths[i++]) {
        int64_t headers = TCP + (frames[TCP + 12] >> 4) * 4, payload = lengths[i] - headers;
        uint32_t sequence = load32(frames + TCP + 4), number = load16(frames + IP + 4);
        uint8_t flags = frames[TCP + 13];
        for (int64_t start = 0, k = 0; start < payload; start += mss, k++) {
            int64_t here = payload - start < mss ? payload - start : mss;
            memcpy(out, frames, (size_t)headers);
            memcpy(out + headers, frames + headers + start, (size_t)here);
            store16(out + IP + 2, (uint32_t)(headers - IP + here));
            store16(out + IP + 4, (number + (uint32_t)k) & 0xffff);
            store16(out + IP + 10, 0);
            store_sum(out + IP + 10, sum(out + IP, 20));
            store32(out + TCP + 4, sequence + (uint32_t)start);
            out[TCP + 13] = (uint8_t)(flags & ~(k ? CWR : 0) & ~(start + here < payload ? FIN_PSH : 0));
            sum_tcp(out, headers + here);
            out += headers + here;
        }
    }
    return out - begin;
}

int64_t fill(const uint8_t *frames, const int64_t *lengths, int64_t count, uint8_t *out) {
    uint8_t *begin = out;
    for (int64_t i = 0; i < count; i++) {
        memcpy(out, frames, (size_t)lengths[i]);
        sum_tcp(out, lengths[i]);
        frames += lengths[i], out += lengths[i];
    }
    return out - begin;
}
