/* The ordinary load: a fixed number of connections, each with its number of requests in flight. */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

static uint64_t random_state, next_fill;

void random_start(uint64_t seed) { random_state = seed; }

uint32_t random_below(uint32_t limit) { /* xorshift64*; the same sequence for every server measured */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)(((random_state * UINT64_C(2685821657736338717)) >> 32) * limit >> 32);
}

static void ask_anew(const struct load *load, struct client *client, uint64_t now) {
    if (load->batch && client->in_flight) return;
    while (client->in_flight < load->pipeline) {
        if (load->mode == FILL) {
            if (next_fill == load->keys) break;
            client_ask(load, client, (uint32_t)next_fill++, true, now);
        } else {
            bool is_set = random_below(load->reads + load->writes) < load->writes;
            client_ask(load, client, random_below(load->keys), is_set, now);
        }
    }
    if (!client->waits_writable) client_flush(client);
}

static void set_interest(int epoll, struct client *client, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (client->waits_writable ? EPOLLOUT : 0), .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

void run_steady(const struct load *load, struct client **clients) {
    int epoll = epoll_create1(0);
    struct epoll_event events[256];
    uint64_t start = now_ns(), now = start, last = start;
    if (load->mode == FILL) window_open(load);
    for (unsigned i = 0; i < load->connections; i++) {
        ask_anew(load, clients[i], now_ns());
        set_interest(epoll, clients[i], EPOLL_CTL_ADD);
    }
    while (!window_step(load, start, now)) {
        int ready = epoll_wait(epoll, events, 256, 100);
        now = now_ns();
        if (ready <= 0 && (double)(now - last) > load->patience * 1e9) fail("no reply for %.0f seconds", load->patience);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            bool waited = client->waits_writable;
            if (events[i].events & EPOLLOUT) client_flush(client);
            if (client_serve(load, client, &now)) {
                last = now;
                ask_anew(load, client, now);
            }
            if (client->waits_writable != waited) set_interest(epoll, client, EPOLL_CTL_MOD);
        }
    }
}
