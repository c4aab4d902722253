/* memcached's classic text protocol: `get` of one key, `set`; and what the text protocols share. */
#include "load.h"

#include <stdio.h>
#include <string.h>

static void prepare(struct load *load) {
    load->get.head_length = (size_t)sprintf(load->get.head, "get ");
    load->get.tail_length = (size_t)sprintf(load->get.tail, "\r\n");
    load->set.head_length = (size_t)sprintf(load->set.head, "set ");
    load->set.tail_length = (size_t)sprintf(load->set.tail, " 0 0 %zu\r\n", load->value_size);
    load->value_end = "\r\n";
    load->reply_head_length = (size_t)sprintf(load->reply_head, " 0 %zu\r\n", load->value_size);
    load->reply_end = "\r\nEND\r\n";
}

/* The part of `expected` (of `size` bytes, standing at `offset` in the block) that `data` at `position` must equal. */
static bool agrees(const char *data, size_t position, size_t length, const char *expected, size_t offset, size_t size) {
    size_t from = position > offset ? position : offset;
    size_t to = position + length < offset + size ? position + length : offset + size;
    return from >= to || memcmp(data + (from - position), expected + (from - offset), to - from) == 0;
}

/* The block and its tail, in whatever pieces they come. Compared: the key that every value starts with, the value's
 * last 64 bytes and the tail; that is enough to notice any mixing up or tearing, and light for values of a megabyte. */
size_t read_block(const struct load *load, struct client *client, const char *data, size_t length,
                  enum outcome *outcome) {
    size_t total = load->value_size + load->reply_end_length, position = client->body_at - 1;
    size_t taken = length < total - position ? length : total - position;
    size_t own = load->own_length;
    size_t last = load->value_size - own < 64 ? own : load->value_size - 64;
    if (!agrees(data, position, taken, key_of(load, oldest_of(client)->key), 0, own) ||
        !agrees(data, position, taken, load->value + last, last, load->value_size - last) ||
        !agrees(data, position, taken, load->reply_end, load->value_size, load->reply_end_length)) {
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

bool starts(const char *data, size_t length, const char *with) {
    size_t wanted = strlen(with);
    return length >= wanted && memcmp(data, with, wanted) == 0;
}

bool is_error_line(const char *data, size_t length) {
    return starts(data, length, "SERVER_ERROR") || starts(data, length, "CLIENT_ERROR") || starts(data, length, "ERROR");
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
    const struct request *request = oldest_of(client);
    if (!request->is_set && starts(data, line, "VALUE ")) {
        const char *key = data + 6, *rest = key + load->key_length;
        if (line != 6 + load->key_length + load->reply_head_length ||
            memcmp(key, key_of(load, request->key), load->key_length) != 0 ||
            memcmp(rest, load->reply_head, load->reply_head_length) != 0) {
            *outcome = WRONG;
            return 0;
        }
        client->body_at = 1;
        size_t taken = read_block(load, client, data + line, length - line, outcome);
        return *outcome == WRONG ? 0 : line + taken;
    }
    if (request->is_set && line == 8 && starts(data, line, "STORED\r\n"))
        *outcome = STORED;
    else if (!request->is_set && line == 5 && starts(data, line, "END\r\n"))
        *outcome = MISS;
    else
        *outcome = is_error_line(data, line) ? REFUSED : WRONG;
    return line;
}

/* The token login: it is stored under any key (protocol.txt, "Authentication"). */
size_t token_login(char *out, size_t size, const char *user, const char *password) {
    size_t length = strlen(user) + 1 + strlen(password);
    return (size_t)snprintf(out, size, "set auth 0 0 %zu\r\n%s %s\r\n", length, user, password);
}

size_t read_token_reply(const char *data, size_t length, enum outcome *outcome) {
    const char *newline = memchr(data, '\n', length);
    *outcome = !newline ? INCOMPLETE : starts(data, length, "STORED\r\n") ? HIT : REFUSED;
    return newline ? (size_t)(newline - data) + 1 : 0;
}

const struct protocol text_protocol = {"text", prepare, NULL, read_reply, token_login, read_token_reply};
