/* --hold: every connection asks for one value and then stays idle. When all have their reply a line says so on standard
 * output; the connections are held until standard input ends, so that somebody can look at what they cost. */
#include "load.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

void run_hold(const struct load *load, struct client **clients) {
    uint64_t now = now_ns();
    for (unsigned i = 0; i < load->connections; i++) {
        struct client *client = clients[i];
        client_ask(load, client, random_below(load->keys), false, now);
        client_flush(client);
        while (!client_serve(load, client, &now)) {
            struct pollfd wanted = {client->fd, POLLIN, 0};
            if (poll(&wanted, 1, (int)(load->patience * 1000)) == 0) fail("no reply for %.0f seconds", load->patience);
        }
    }
    printf("{\"held\": %u, \"errors\": %lu}\n", load->connections, tally.outcomes[REFUSED] + tally.outcomes[MISS]);
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}
