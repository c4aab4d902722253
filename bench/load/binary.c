/* memcached's binary protocol: GET and SET, each under an opaque of its own, and the login by SASL PLAIN. */
#include "load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { GET = 0x00, SET = 0x01, SASL_AUTH = 0x21 };
enum { HEADER = 24, FLAGS = 4, SET_EXTRAS = 8, NO_ERROR = 0, NOT_FOUND = 1 };
enum { MAGIC_AT = 0, OPCODE_AT = 1, KEY_LENGTH_AT = 2, EXTRAS_AT = 4, STATUS_AT = 6, BODY_AT = 8, OPAQUE_AT = 12 };
#define BODY_MAX 2048 /* of a reply that holds no value */

static uint32_t number_at(const char *data) {
    uint32_t number;
    memcpy(&number, data, sizeof number);
    return ntohl(number);
}

static uint16_t short_at(const char *data) {
    uint16_t number;
    memcpy(&number, data, sizeof number);
    return ntohs(number);
}

static size_t write_header(char *out, int opcode, size_t key, size_t extras, size_t value) {
    uint32_t body = htonl((uint32_t)(key + extras + value));
    uint16_t key_length = htons((uint16_t)key);
    memset(out, 0, HEADER);
    out[MAGIC_AT] = (char)0x80;
    out[OPCODE_AT] = (char)opcode;
    out[EXTRAS_AT] = (char)extras;
    memcpy(out + KEY_LENGTH_AT, &key_length, sizeof key_length);
    memcpy(out + BODY_AT, &body, sizeof body);
    return HEADER;
}

static void prepare(struct load *load) {
    load->get.head_length = write_header(load->get.head, GET, load->key_length, 0, 0);
    load->set.head_length = write_header(load->set.head, SET, load->key_length, SET_EXTRAS, load->value_size);
    memset(load->set.head + HEADER, 0, SET_EXTRAS); /* flags and expiration */
    load->set.head_length += SET_EXTRAS;
    load->value_end = load->reply_end = "";
}

static void number(char *frame, uint32_t opaque) { memcpy(frame + OPAQUE_AT, &opaque, sizeof opaque); }

static size_t read_reply(const struct load *load, struct client *client, const char *data, size_t length,
                         enum outcome *outcome) {
    *outcome = INCOMPLETE;
    if (client->body_at) return read_block(load, client, data, length, outcome);
    if (length < HEADER) return 0;
    bool is_set = oldest_of(client)->is_set;
    uint32_t opaque = oldest_opaque(client), body = number_at(data + BODY_AT);
    int status = short_at(data + STATUS_AT);
    if (data[MAGIC_AT] != (char)0x81 || data[OPCODE_AT] != (is_set ? SET : GET) || short_at(data + KEY_LENGTH_AT) ||
        memcmp(data + OPAQUE_AT, &opaque, sizeof opaque) != 0) {
        *outcome = WRONG;
        return 0;
    }
    if (status == NO_ERROR && !is_set) {
        if (data[EXTRAS_AT] != FLAGS || body != FLAGS + load->value_size) {
            *outcome = WRONG;
            return 0;
        }
        if (length < HEADER + FLAGS) return 0;
        client->body_at = 1;
        size_t taken = read_block(load, client, data + HEADER + FLAGS, length - HEADER - FLAGS, outcome);
        return *outcome == WRONG ? 0 : HEADER + FLAGS + taken;
    }
    if ((status == NO_ERROR && body) || body > BODY_MAX) {
        *outcome = WRONG;
        return 0;
    }
    if (length < HEADER + body) return 0;
    *outcome = status == NO_ERROR ? STORED : status == NOT_FOUND && !is_set ? MISS : REFUSED;
    return HEADER + body;
}

/* RFC 4616: an empty authorization identity, the user and the password, each behind a NUL. */
static size_t write_login(char *out, size_t size, const char *user, const char *password) {
    size_t length = strlen(user) + strlen(password) + 2, mechanism = strlen("PLAIN");
    if (HEADER + mechanism + length > size) fail("%s: the login is too long", user);
    char *at = out + write_header(out, SASL_AUTH, mechanism, 0, length);
    memcpy(at, "PLAIN", mechanism);
    at[mechanism] = '\0';
    strcpy(at + mechanism + 1, user);
    memcpy(at + mechanism + 1 + strlen(user) + 1, password, strlen(password));
    return HEADER + mechanism + length;
}

static size_t read_login(const char *data, size_t length, enum outcome *outcome) {
    *outcome = INCOMPLETE;
    if (length < HEADER) return 0;
    uint32_t body = number_at(data + BODY_AT);
    if (data[MAGIC_AT] != (char)0x81 || data[OPCODE_AT] != SASL_AUTH || body > BODY_MAX) {
        *outcome = WRONG;
        return 0;
    }
    if (length < HEADER + body) return 0;
    *outcome = short_at(data + STATUS_AT) == NO_ERROR ? HIT : REFUSED;
    return HEADER + body;
}

const struct protocol binary_protocol = {"binary", prepare, number, read_reply, write_login, read_login};
