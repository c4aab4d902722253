/* memcached's classic text protocol: `get` of one key, `set`. Another protocol is another such file. */
#include "load.h"

#include <stdio.h>
#include <string.h>

#define TAIL "\r\nEND\r\n"
#define TAIL_LENGTH (sizeof TAIL - 1)

static size_t request_size(const struct load *load, bool is_set) {
    return load->key_length + 64 + (is_set ? load->value_size : 0);
}

static char *put(char *out, const void *data, size_t length) {
    memcpy(out, data, length);
    return out + length;
}

static size_t write_request(const struct load *load, char *out, uint32_t key, bool is_set) {
    char *at = put(out, is_set ? "set " : "get ", 4);
    at = put(at, key_of(load, key), load->key_length);
    if (!is_set) return (size_t)(put(at, "\r\n", 2) - out);
    at += sprintf(at, " 0 0 %zu\r\n", load->value_size);
    size_t own = load->key_length < load->value_size ? load->key_length : load->value_size;
    at = put(at, key_of(load, key), own);
    at = put(at, load->value + own, load->value_size - own);
    return (size_t)(put(at, "\r\n", 2) - out);
}

/* The part of `expected` (of `size` bytes, standing at `offset` in the block) that `data` at `position` must equal. */
static bool agrees(const char *data, size_t position, size_t length, const char *expected, size_t offset, size_t size) {
    size_t from = position > offset ? position : offset;
    size_t to = position + length < offset + size ? position + length : offset + size;
    return from >= to || memcmp(data + (from - position), expected + (from - offset), to - from) == 0;
}

/* The block and its tail, in whatever pieces they come. Compared: the key that every value starts with, the value's
 * last 64 bytes and the tail; that is enough to notice any mixing up or tearing, and light for values of a megabyte. */
static size_t read_block(const struct load *load, struct client *client, const char *data, size_t length,
                         enum outcome *outcome) {
    size_t total = load->value_size + TAIL_LENGTH, position = client->body_at - 1;
    size_t taken = length < total - position ? length : total - position;
    size_t own = load->key_length < load->value_size ? load->key_length : load->value_size;
    size_t last = load->value_size - own < 64 ? own : load->value_size - 64;
    uint32_t key = client->flight[client->oldest].key;
    if (!agrees(data, position, taken, key_of(load, key), 0, own) ||
        !agrees(data, position, taken, load->value + last, last, load->value_size - last) ||
        !agrees(data, position, taken, TAIL, load->value_size, TAIL_LENGTH)) {
        *outcome = WRONG;
        return 0;
    }
    client->body_at += taken;
    if (position + taken == total) {
        client->body_at = 0;
        *outcome = HIT;
    }
    return taken;
}

static bool starts(const char *data, size_t length, const char *with) {
    size_t wanted = strlen(with);
    return length >= wanted && memcmp(data, with, wanted) == 0;
}

static size_t read_reply(const struct load *load, struct client *client, const char *data, size_t length,
                         enum outcome *outcome) {
    *outcome = INCOMPLETE;
    if (client->body_at) return read_block(load, client, data, length, outcome);
    const char *newline = memchr(data, '\n', length);
    if (!newline) {
        if (length > 2048) *outcome = WRONG;
        return 0;
    }
    size_t line = (size_t)(newline - data) + 1;
    const struct request *request = &client->flight[client->oldest];
    if (request->is_set && line == 8 && starts(data, line, "STORED\r\n")) {
        *outcome = STORED;
    } else if (!request->is_set && line == 5 && starts(data, line, "END\r\n")) {
        *outcome = MISS;
    } else if (!request->is_set && starts(data, line, "VALUE ")) {
        char rest[48];
        size_t rest_length = (size_t)sprintf(rest, " 0 %zu\r\n", load->value_size);
        const char *key = key_of(load, request->key);
        if (line != 6 + load->key_length + rest_length || memcmp(data + 6, key, load->key_length) != 0 ||
            memcmp(data + 6 + load->key_length, rest, rest_length) != 0) {
            *outcome = WRONG;
            return 0;
        }
        client->body_at = 1;
        return line + read_block(load, client, data + line, length - line, outcome);
    } else if (starts(data, line, "SERVER_ERROR") || starts(data, line, "CLIENT_ERROR") || starts(data, line, "ERROR")) {
        *outcome = REFUSED;
    } else {
        *outcome = WRONG;
        return 0;
    }
    return line;
}

const struct protocol text_protocol = {"text", request_size, write_request, read_reply};

const struct protocol *protocol_by_name(const char *name) {
    return strcmp(name, text_protocol.name) == 0 ? &text_protocol : NULL;
}
