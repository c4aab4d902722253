/* One connection under load: requests out, replies in. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static char *put(char *out, const void *data, size_t length) {
    memcpy(out, data, length);
    return out + length;
}

static void make_room(struct client *client, size_t length) {
    size_t needed = client->output_end + length;
    if (needed <= client->output_size) return;
    client->output_size = needed * 2;
    client->output = realloc(client->output, client->output_size);
    if (!client->output) fail("out of memory");
}

void client_ask(const struct load *load, struct client *client, uint32_t key, bool is_set, uint64_t now) {
    const struct frame *frame = is_set ? &load->set : &load->get;
    size_t value = is_set ? load->value_size + load->value_end_length : 0;
    make_room(client, frame->head_length + load->key_length + frame->tail_length + value);
    char *start = client->output + client->output_end;
    char *at = put(start, frame->head, frame->head_length);
    at = put(at, key_of(load, key), load->key_length);
    at = put(at, frame->tail, frame->tail_length);
    if (is_set) {
        at = put(at, key_of(load, key), load->own_length);
        at = put(at, load->value + load->own_length, load->value_size - load->own_length);
        at = put(at, load->value_end, load->value_end_length);
    }
    if (load->protocol->number) load->protocol->number(start, client->asked);
    client->asked++;
    client->output_end = (size_t)(at - client->output);
    unsigned place = client->oldest + client->in_flight++;
    if (place >= load->pipeline) place -= load->pipeline;
    client->flight[place] = (struct request){now, key, is_set};
}

static void lost(const struct client *client, const char *what) {
    fail("connection %u was %s with %u requests in flight: %s", client->number, what, client->in_flight, strerror(errno));
}

void client_flush(struct client *client) {
    client->waits_writable = false;
    while (client->output_start < client->output_end) {
        const char *data = client->output + client->output_start;
        size_t length = client->output_end - client->output_start;
        ssize_t n = client->ssl ? SSL_write(client->ssl, data, (int)(length > 1 << 30 ? 1 << 30 : length))
                                : send(client->fd, data, length, MSG_NOSIGNAL);
        if (n <= 0) {
            int why = client->ssl ? SSL_get_error(client->ssl, (int)n) : SSL_ERROR_NONE;
            if (client->ssl ? why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ : errno != EAGAIN)
                lost(client, "lost while sending");
            client->waits_writable = true;
            return;
        }
        client->output_start += (size_t)n;
    }
    client->output_start = client->output_end = 0;
}

size_t client_receive(struct client *client) {
    char *into = client->input + client->input_end;
    size_t room = INPUT_SIZE - client->input_end;
    ssize_t n = client->ssl ? SSL_read(client->ssl, into, (int)room) : recv(client->fd, into, room, 0);
    if (n <= 0) {
        if (client->ssl ? SSL_get_error(client->ssl, (int)n) != SSL_ERROR_WANT_READ : n == 0 || errno != EAGAIN)
            lost(client, "closed by the server");
        return 0;
    }
    client->input_end += (size_t)n;
    return (size_t)n;
}

/* Takes whole replies from the client's input and leaves the rest there. Returns how many there were. */
static unsigned take_replies(const struct load *load, struct client *client, uint64_t now) {
    size_t at = 0;
    unsigned replies = 0;
    while (client->in_flight && at < client->input_end) {
        enum outcome outcome;
        const char *data = client->input + at;
        const struct request *request = oldest_of(client);
        size_t taken = load->protocol->read_reply(load, client, data, client->input_end - at, &outcome);
        if (outcome == WRONG) {
            size_t shown = client->input_end - at < 120 ? client->input_end - at : 120;
            fail("connection %u: wrong reply to %s %.*s: %.*s", client->number, request->is_set ? "set" : "get",
                 (int)load->key_length, key_of(load, request->key), (int)shown, data);
        }
        at += taken;
        if (outcome == INCOMPLETE) break;
        /* With --logins the time is that of the whole connection. */
        tally_reply(outcome, now - (load->mode == LOGINS ? client->opened_ns : request->sent_ns), data, taken);
        if (++client->oldest == load->pipeline) client->oldest = 0;
        client->in_flight--;
        replies++;
    }
    client->input_end -= at;
    if (!client->in_flight && client->input_end) fail("connection %u: bytes that nobody asked for", client->number);
    if (client->input_end && at) memmove(client->input, client->input + at, client->input_end);
    return replies;
}

unsigned client_serve(const struct load *load, struct client *client, uint64_t *now) {
    unsigned replies = 0;
    do {
        if (client_receive(client) == 0) break;
        *now = now_ns();
        replies += take_replies(load, client, *now);
    } while (client->ssl && SSL_has_pending(client->ssl)); /* those bytes have no event of their own */
    return replies;
}
