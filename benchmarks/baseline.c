/*
 * A program of the same work, written for nothing else: what a frame costs at least.
 *
 *     baseline CAPTURE PORTS [OUTPUT]
 *
 * Reads a little-endian nanosecond pcap in pieces of 1 MiB. Each frame enters at the port that has its source MAC;
 * a tag must be the VLAN of that port, and comes off; the port's token bucket must hold the frame. It leaves at the
 * port of its destination MAC if that is of the same VLAN, else with a tag by an uplink by IP hash. With OUTPUT one
 * pcapng is written: an enhanced packet block with flags for each frame. PORTS has a line for each port: name, VLAN
 * (-1: an uplink) and MAC. Says frames delivered and dropped as JSON. No queues, no wire, no floods, no counters.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20, MOST_PORTS = 1 << 17, SLOTS = 1 << 19, RECORD = 16, LONGEST = 1 << 18, ROOM = 64 };

#define RATE_BPS 20000000000LL
#define BURST_BYTES 100000000LL

struct port {
    char name[32];
    uint64_t mac;
    int vlan;
    int64_t credit; /* in 10^-9 bytes: whole numbers, nothing is lost between two frames */
    int64_t at_ns;
};

static struct port ports[MOST_PORTS];
static int port_count, uplinks[MOST_PORTS], uplink_count;
static struct {
    uint64_t mac; /* MAC + 1; 0: empty */
    uint64_t port;
} slots[SLOTS];
static int slot_bits = 4; /* as few as leave three of four slots empty: the table stays in the cache */
static uint8_t input[2 * PIECE + LONGEST + ROOM], output[PIECE + LONGEST + ROOM];
static size_t filled;
static int output_file = -1;

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static uint32_t le32(const uint8_t *p) {
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

static uint32_t be32(const uint8_t *p) { return __builtin_bswap32(le32(p)); }

static uint64_t mac_at(const uint8_t *p) { return (uint64_t)be16(p) << 32 | be32(p + 2); }

static uint32_t slot_of(uint64_t mac) { return (uint32_t)(mac * 0x9E3779B97F4A7C15ULL >> (64 - slot_bits)); }

static uint32_t next(uint32_t slot) { return (slot + 1) & ((1u << slot_bits) - 1); }

static int port_of(uint64_t mac) {
    for (uint32_t slot = slot_of(mac); slots[slot].mac; slot = next(slot))
        if (slots[slot].mac == mac + 1) return (int)slots[slot].port;
    return -1;
}

static void read_ports(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) stop(path);
    struct port port = {0};
    while (fscanf(file, "%31s %d %lx", port.name, &port.vlan, &port.mac) == 3 && port_count < MOST_PORTS) {
        port.credit = BURST_BYTES * 1000000000;
        if (port.vlan < 0) uplinks[uplink_count++] = port_count;
        ports[port_count++] = port;
    }
    fclose(file);
    while (1 << slot_bits < 4 * port_count) slot_bits++;
    for (int i = 0; i < port_count; i++) {
        if (ports[i].vlan < 0) continue;
        uint32_t slot = slot_of(ports[i].mac);
        while (slots[slot].mac) slot = next(slot);
        slots[slot].mac = ports[i].mac + 1;
        slots[slot].port = (uint64_t)i;
    }
}

/* Not whole MiB at whole places: the huge pages that the system then takes are at times far dearer, at random. */
static void flush(void) {
    for (size_t done = 0; done < filled;) {
        ssize_t count = write(output_file, output + done, filled - done);
        if (count < 0) stop("write");
        done += (size_t)count;
    }
    filled = 0;
}

static uint8_t *put32(uint8_t *at, uint32_t word) {
    memcpy(at, &word, 4);
    return at + 4;
}

/* Copies in steps of 32 bytes while that is quicker; behind both ends is ROOM. */
static void copy(uint8_t *to, const uint8_t *from, uint32_t length) {
    if (length > 256) {
        memcpy(to, from, length);
        return;
    }
    for (uint32_t at = 0; at < length; at += 32) memcpy(to + at, from + at, 32);
}

static void write_header(void) {
    uint8_t *at = output;
    at = put32(put32(put32(at, 0x0A0D0D0A), 28), 0x1A2B3C4D);
    at = put32(put32(put32(put32(at, 1), 0xFFFFFFFF), 0xFFFFFFFF), 28);
    for (int i = 0; i < port_count; i++) {
        uint32_t length = (uint32_t)strlen(ports[i].name), padded = (length + 3) & ~3u, total = 20 + 4 + padded + 8 + 4;
        at = put32(put32(put32(put32(at, 1), total), 1), 0);
        at = put32(at, 2 | length << 16);
        memset(at, 0, padded);
        memcpy(at, ports[i].name, length);
        at = put32(at + padded, 9 | 1 << 16);
        at = put32(put32(put32(at, 9), 0), total);
        filled = (size_t)(at - output);
        if (filled > PIECE) flush();
        at = output + filled;
    }
    filled = (size_t)(at - output);
}

/* One enhanced packet block: twelve bytes of addresses, the tag if there is one, and the rest. */
static void write_frame(int port, int64_t time_ns, const uint8_t *frame, uint32_t skip, uint32_t length, int tag) {
    uint32_t whole = length - skip + 12 + (tag ? 4 : 0), padded = (whole + 3) & ~3u, total = 28 + padded + 12 + 4;
    if (filled + total > PIECE) flush();
    uint8_t *at = output + filled;
    at = put32(put32(put32(at, 6), total), (uint32_t)port);
    at = put32(put32(at, (uint32_t)(time_ns >> 32)), (uint32_t)time_ns);
    at = put32(put32(at, whole), whole);
    memcpy(at, frame, 12);
    uint8_t *rest = at + 12;
    if (tag) {
        rest[0] = 0x81, rest[1] = 0;
        rest[2] = (uint8_t)(tag >> 8), rest[3] = (uint8_t)tag;
        rest += 4;
    }
    copy(rest, frame + skip, length - skip);
    memset(at + whole, 0, 4);
    at = put32(put32(at + padded, 2 | 4 << 16), ports[port].vlan < 0 ? 2 : 1);
    at = put32(put32(at, 0), total);
    filled = (size_t)(at - output);
}

static int has_credit(struct port *port, int64_t time_ns, uint32_t length) {
    const int64_t full = BURST_BYTES * 1000000000;
    int64_t gap = time_ns - port->at_ns;
    if (gap > (full - port->credit) / (RATE_BPS / 8))
        port->credit = full;
    else
        port->credit += gap * (RATE_BPS / 8);
    port->at_ns = time_ns;
    if (port->credit < (int64_t)length * 1000000000) return 0;
    port->credit -= (int64_t)length * 1000000000;
    return 1;
}

/* Whether the frame was delivered. */
static int deliver(int64_t time_ns, const uint8_t *frame, uint32_t length) {
    if (length < 18) return 0;
    int from = port_of(mac_at(frame + 6));
    if (from < 0) return 0;
    uint32_t skip = 12;
    if (be16(frame + 12) == 0x8100) {
        if ((be16(frame + 14) & 0xFFF) != ports[from].vlan) return 0;
        skip = 16;
    }
    if (!has_credit(&ports[from], time_ns, length - skip + 12)) return 0;
    if (frame[0] & 1) return 0;
    int to = port_of(mac_at(frame)), tag = 0;
    if (to < 0 || ports[to].vlan != ports[from].vlan) {
        if (!uplink_count) return 0;
        uint32_t hash = 0;
        if (be16(frame + skip) == 0x0800 && length >= skip + 22) hash = be32(frame + skip + 14) ^ be32(frame + skip + 18);
        to = uplinks[hash % (uint32_t)uplink_count];
        tag = ports[from].vlan;
    }
    if (output_file >= 0) write_frame(to, time_ns, frame, skip, length, tag);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "baseline CAPTURE PORTS [OUTPUT]\n"), 2;
    read_ports(argv[2]);
    int file = open(argv[1], O_RDONLY);
    if (file < 0) stop(argv[1]);
    if (argc > 3) {
        output_file = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (output_file < 0) stop(argv[3]);
        write_header();
    }
    long delivered = 0, dropped = 0;
    size_t have = 0, at = 24;
    for (;;) {
        ssize_t count = read(file, input + have, PIECE);
        if (count < 0) stop(argv[1]);
        if (!count) break;
        have += (size_t)count;
        while (at + RECORD <= have) {
            const uint8_t *record = input + at;
            uint32_t length = le32(record + 8);
            if (length > LONGEST) return fprintf(stderr, "%s: damaged\n", argv[1]), 1;
            if (at + RECORD + length > have) break;
            int64_t time_ns = (int64_t)le32(record) * 1000000000 + le32(record + 4);
            if (deliver(time_ns, record + RECORD, length))
                delivered++;
            else
                dropped++;
            at += RECORD + length;
        }
        memmove(input, input + at, have - at);
        have -= at;
        at = 0;
    }
    if (output_file >= 0) {
        flush();
        close(output_file);
    }
    printf("{\"delivered\": %ld, \"dropped\": %ld}\n", delivered, dropped);
    return 0;
}
