/* memcached's meta commands: `mg KEY v` and `ms`. */
#include "load.h"

#include <stdio.h>
#include <string.h>

static void prepare(struct load *load) {
    load->get.head_length = (size_t)sprintf(load->get.head, "mg ");
    load->get.tail_length = (size_t)sprintf(load->get.tail, " v\r\n");
    load->set.head_length = (size_t)sprintf(load->set.head, "ms ");
    load->set.tail_length = (size_t)sprintf(load->set.tail, " %zu\r\n", load->value_size);
    load->value_end = "\r\n";
    load->reply_head_length = (size_t)sprintf(load->reply_head, "VA %zu\r\n", load->value_size);
    load->reply_end = "\r\n";
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
    bool is_set = oldest_of(client)->is_set;
    if (!is_set && line == load->reply_head_length && memcmp(data, load->reply_head, line) == 0) {
        client->body_at = 1;
        size_t taken = read_block(load, client, data + line, length - line, outcome);
        return *outcome == WRONG ? 0 : line + taken;
    }
    if (is_set && line == 4 && starts(data, line, "HD\r\n"))
        *outcome = STORED;
    else if (!is_set && line == 4 && starts(data, line, "EN\r\n"))
        *outcome = MISS;
    else
        *outcome = is_error_line(data, line) ? REFUSED : WRONG;
    return line;
}

const struct protocol meta_protocol = {"meta", prepare, NULL, read_reply, token_login, read_token_reply};
