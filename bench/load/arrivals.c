/* --logins: whole connections, a fixed number of them at a time. Each connects, shakes hands, logs in, asks for one
 * value, closes, and is followed by another. What is counted as a request is such a connection, and its time is from
 * the connect to the reply. No TLS session is resumed: every handshake is a whole one. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static unsigned next_number; /* so that each logs in as the next user of the file */

static void watch(int epoll, struct client *client, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (client->waits_writable ? EPOLLOUT : 0), .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

static void ask(const struct load *load, struct client *client, uint64_t now) {
    bool is_set = random_below(load->reads + load->writes) < load->writes;
    client_ask(load, client, random_below(load->keys), is_set, now);
    client_flush(client);
}

static void arrive(const struct load *load, struct client *client, int epoll) {
    client->number = next_number++;
    client_connect(load, client, now_ns());
    if (client_enter(load, client)) ask(load, client, client->opened_ns);
    watch(epoll, client, EPOLL_CTL_ADD);
}

/* Whether its one reply has come. */
static bool go_on(const struct load *load, struct client *client, uint64_t *now) {
    if (client->stage != READY) {
        if (!client_enter(load, client)) return false;
        ask(load, client, *now);
    }
    if (client->waits_writable) client_flush(client);
    return client_serve(load, client, now) > 0;
}

void run_logins(const struct load *load) {
    int epoll = epoll_create1(0);
    struct epoll_event events[256];
    uint64_t start = now_ns(), now = start, last = start;
    if (load->warmup <= 0) window_open(load);
    for (unsigned i = 0; i < load->connections; i++) {
        struct client *client = calloc(1, sizeof *client);
        if (!client || !(client->flight = calloc(1, sizeof *client->flight))) fail("out of memory");
        arrive(load, client, epoll);
    }
    while (!window_step(load, start, now)) {
        int ready = epoll_wait(epoll, events, 256, 100);
        now = now_ns();
        if (ready <= 0 && (double)(now - last) > load->patience * 1e9) fail("no reply for %.0f seconds", load->patience);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            bool waited = client->waits_writable;
            if (go_on(load, client, &now)) {
                last = now;
                client_close(client);
                arrive(load, client, epoll);
            } else if (client->waits_writable != waited) {
                watch(epoll, client, EPOLL_CTL_MOD);
            }
        }
    }
}
