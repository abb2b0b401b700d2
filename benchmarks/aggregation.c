/*
 * What LRO costs at least: a plain loop over frames of IPv4, with the rules that iochain's stage has for netpoll.
 *
 * Frames lie one behind the other; what is not TCP data with a timestamp or without options is copied. All bytes that
 * go out are written to `out`, and their number is given. With `verify` each segment's checksum is looked at first.
 */
#include "packets.h"

enum { IP = 14, TCP = 34, ACK = 0x10, PSH = 0x08, OTHERS = 0xe7, SESSIONS = 8, POLL = 64, LONGEST = 65535, MTU = 1500 };

typedef struct {
    int count, is_odd;
    uint64_t addresses, payload_sum;
    uint32_t ports, next, acknowledgment, echo, stamp, length, headers;
    uint16_t window;
    uint8_t pushed;
    const uint8_t *payload[POLL], *first;
    uint32_t sizes[POLL];
} session;

static uint64_t load64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

static uint64_t pseudo(const uint8_t *frame, uint32_t size) {
    uint8_t behind[4] = {0, 6, 0, 0};
    store16(behind + 2, size);
    return sum(frame + IP + 12, 8) + sum(behind, 4);
}

static int is_candidate(const uint8_t *frame, int64_t length) {
    const uint8_t *ip = frame + IP, *tcp = frame + TCP;
    if (length <= TCP + 20 || load16(frame + 12) != 0x0800 || ip[0] != 0x45 || ip[9] != 6) return 0;
    if (load16(ip + 2) != length - IP || load16(ip + 6) & 0x3fff || (ip[1] & 3) == 3) return 0;
    if (!(tcp[13] & ACK) || tcp[13] & OTHERS) return 0;
    int headers = (tcp[12] >> 4) * 4;
    if (headers != 20 && (headers != 32 || load32(tcp + 20) != 0x0101080a)) return 0;
    return length > TCP + headers;
}

static int has_data(const uint8_t *frame, int64_t length) {
    return length >= 54 && load16(frame + 12) == 0x0800 && frame[IP + 9] == 6 && load16(frame + IP + 2) > 40;
}

static uint8_t *flush(session *s, uint8_t *out) {
    if (s->count == 0) return out;
    if (s->count == 1) {
        memcpy(out, s->first, IP + s->length);
        s->count = 0;
        return out + IP + s->length;
    }
    memcpy(out, s->first, s->headers);
    store16(out + IP + 2, s->length);
    store16(out + IP + 10, 0);
    store_sum(out + IP + 10, sum(out + IP, 20));
    store32(out + TCP + 8, s->acknowledgment);
    out[TCP + 13] |= s->pushed;
    store16(out + TCP + 14, s->window);
    if (s->headers == TCP + 32) store32(out + TCP + 28, s->echo);
    store16(out + TCP + 16, 0);
    store_sum(out + TCP + 16, pseudo(out, s->length - 20) + sum(out + TCP, s->headers - TCP) + s->payload_sum);
    out += s->headers;
    for (int i = 0; i < s->count; i++) {
        memcpy(out, s->payload[i], s->sizes[i]);
        out += s->sizes[i];
    }
    s->count = 0;
    return out;
}

static void append(session *s, const uint8_t *frame, uint32_t headers, uint32_t size) {
    uint32_t added = 0xffff - folded(pseudo(frame, headers - TCP + size) + sum(frame + TCP, headers - TCP));
    s->payload_sum += s->is_odd ? (added & 0xff) << 8 | added >> 8 : added;
    s->is_odd ^= size & 1;
    s->payload[s->count] = frame + headers;
    s->sizes[s->count++] = size;
    s->length += size;
    s->next = load32(frame + TCP + 4) + size;
    s->acknowledgment = load32(frame + TCP + 8);
    s->window = load16(frame + TCP + 14);
    s->pushed |= frame[TCP + 13] & PSH;
    if (headers == TCP + 32) s->echo = load32(frame + TCP + 28);
}

static int follows(const session *s, const uint8_t *frame, uint32_t headers, uint32_t size) {
    if (s->next != load32(frame + TCP + 4) || s->headers != headers || s->length + size > LONGEST) return 0;
    if (memcmp(frame, s->first, 12)) return 0;
    if (headers == TCP + 20) return 1;
    return load32(frame + TCP + 24) - s->stamp < 1u << 31 && load32(frame + TCP + 28) != 0;
}

int64_t aggregate(const uint8_t *frame, const int64_t *lengths, const int64_t *times, int64_t count, int64_t poll_ns,
                  int64_t verify, uint8_t *out) {
    session sessions[SESSIONS];
    uint8_t *begin = out;
    int64_t end_ns = INT64_MIN, polled = 0;
    for (int i = 0; i < SESSIONS; i++) sessions[i].count = 0;
    for (int64_t i = 0; i < count; frame += lengths[i++]) {
        if (times[i] >= end_ns && polled) {
            for (int k = 0; k < SESSIONS; k++) out = flush(sessions + k, out);
            polled = 0;
        }
        int counts = has_data(frame, lengths[i]), held = 0;
        if (counts && polled == 0) end_ns = times[i] + poll_ns;
        if (is_candidate(frame, lengths[i])) {
            uint32_t headers = TCP + (frame[TCP + 12] >> 4) * 4, size = (uint32_t)lengths[i] - headers;
            uint64_t addresses = load64(frame + IP + 12);
            uint32_t ports = load32(frame + TCP);
            session *mine = 0, *unused = 0;
            for (int k = SESSIONS - 1; k >= 0; k--) {
                session *s = sessions + k;
                if (s->count == 0) unused = s;
                else if (s->addresses == addresses && s->ports == ports) mine = s;
            }
            int fits = 1;
            if (verify) {
                uint32_t all = (uint32_t)(lengths[i] - TCP);
                fits = folded(pseudo(frame, all) + sum(frame + TCP, all)) == 0xffff;
            }
            if (mine && fits && follows(mine, frame, headers, size)) {
                append(mine, frame, headers, size);
                held = 1;
                if (mine->pushed || mine->length > LONGEST - MTU) out = flush(mine, out);
            } else if (mine) {
                out = flush(mine, out);
            } else if (fits && unused && !(frame[TCP + 13] & PSH)) {
                unused->addresses = addresses, unused->ports = ports, unused->first = frame;
                unused->headers = headers, unused->length = headers - IP;
                unused->payload_sum = 0, unused->is_odd = 0, unused->pushed = 0;
                unused->stamp = headers == TCP + 32 ? load32(frame + TCP + 24) : 0;
                append(unused, frame, headers, size);
                held = 1;
            }
        }
        if (!held) {
            memcpy(out, frame, (size_t)lengths[i]);
            out += lengths[i];
        }
        if (counts && ++polled == POLL) {
            for (int k = 0; k < SESSIONS; k++) out = flush(sessions + k, out);
            polled = 0;
        }
    }
    for (int k = 0; k < SESSIONS; k++) out = flush(sessions + k, out);
    return out - begin;
}
