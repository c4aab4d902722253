/* Load for memcached, or for a proxy in front of it, from one thread.
 *
 * Every connection keeps `pipeline` requests in flight: what a receive answers is asked anew in one send. Nothing is
 * allocated, formatted or looked up per request, so that the generator costs little beside the servers it measures.
 * Every reply is checked: a VALUE must name the key asked, have the size stored, start with its own key and end where
 * it says. A reply that is wrong ends the program with status 1 and a message: such a server has no speed.
 *
 * The measured window opens after `warmup` seconds. Counts, latencies and CPU times (its own, and from /proc those of
 * the processes given with --watch, all threads) are those of the window. A JSON object goes to standard output. */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static struct histogram latency;
static uint64_t outcomes[WRONG + 1];
static char first_refusal[128];

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t random_state, next_fill;

static uint32_t random_below(uint32_t limit) { /* xorshift64*; the same sequence for every server measured */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)(((random_state * UINT64_C(2685821657736338717)) >> 32) * limit >> 32);
}

static void ask_anew(const struct load *load, struct client *client, uint64_t now_ns) {
    if (load->batch && client->in_flight) return;
    while (client->in_flight < load->pipeline) {
        if (load->fill) {
            if (next_fill == load->keys) break;
            client_ask(load, client, (uint32_t)next_fill++, true, now_ns);
        } else {
            bool is_set = random_below(load->reads + load->writes) < load->writes;
            client_ask(load, client, random_below(load->keys), is_set, now_ns);
        }
    }
    client_flush(client);
}

/* The line, in a form that may stand in JSON. */
static void keep_refusal(const char *line, size_t length) {
    size_t i = 0;
    for (; i < length && i < sizeof first_refusal - 1 && line[i] != '\r'; i++)
        first_refusal[i] = line[i] < ' ' || line[i] > '~' || strchr("\"\\", line[i]) ? '?' : line[i];
    first_refusal[i] = '\0';
}

/* Takes whole replies from the client's input and leaves the rest there. Returns how many there were. */
static unsigned take_replies(const struct load *load, struct client *client, uint64_t now_ns) {
    size_t at = 0;
    unsigned replies = 0;
    while (client->in_flight && at < client->input_end) {
        enum outcome outcome;
        const char *data = client->input + at;
        size_t taken = load->protocol->read_reply(load, client, data, client->input_end - at, &outcome);
        if (outcome == WRONG) {
            const struct request *request = &client->flight[client->oldest];
            size_t shown = client->input_end - at < 120 ? client->input_end - at : 120;
            fail("connection %u: wrong reply to %s %.*s: %.*s", client->number, request->is_set ? "set" : "get",
                 (int)load->key_length, key_of(load, request->key), (int)shown, data);
        }
        if (outcome == REFUSED && !outcomes[REFUSED]) keep_refusal(data, taken);
        at += taken;
        if (outcome == INCOMPLETE) break;
        outcomes[outcome]++;
        histogram_add(&latency, now_ns - client->flight[client->oldest].sent_ns);
        if (++client->oldest == load->pipeline) client->oldest = 0;
        client->in_flight--;
        replies++;
    }
    client->input_end -= at;
    if (!client->in_flight && client->input_end) fail("connection %u: bytes that nobody asked for", client->number);
    if (client->input_end && at) memmove(client->input, client->input + at, client->input_end);
    return replies;
}

/* One receive, or with TLS as many as OpenSSL holds bytes for: those have no event of their own. */
static unsigned serve(const struct load *load, struct client *client) {
    unsigned replies = 0;
    do {
        if (client_receive(client) == 0) break;
        replies += take_replies(load, client, clock_ns(CLOCK_MONOTONIC));
    } while (client->ssl && SSL_has_pending(client->ssl));
    return replies;
}

static void set_interest(int epoll, struct client *client, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (client->waits_writable ? EPOLLOUT : 0), .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event) != 0) fail("epoll_ctl: %s", strerror(errno));
}

/* CPU times, in seconds, read when the window opens; the report subtracts them. */
struct opening {
    uint64_t ns;
    double own, busy, stolen, watched[WATCHED_MAX];
};

static double own_cpu(void) { return (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9; }

static void open_window(const struct load *load, struct opening *opening) {
    for (unsigned i = 0; i < load->watched_count; i++) opening->watched[i] = cpu_of_process(load->watched[i]);
    cpu_of_machine(&opening->busy, &opening->stolen);
    opening->own = own_cpu();
    opening->ns = clock_ns(CLOCK_MONOTONIC);
}

static void report(const struct load *load, const struct client *client, uint64_t now, const struct opening *opening) {
    double seconds = (double)(now - opening->ns) / 1e9, own = own_cpu() - opening->own, busy, stolen;
    uint64_t requests = outcomes[HIT] + outcomes[MISS] + outcomes[STORED] + outcomes[REFUSED];
    cpu_of_machine(&busy, &stolen);
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"requests_per_second\": %.1f, \"hits\": %lu, \"misses\": %lu, "
           "\"stored\": %lu, \"errors\": %lu, \"first_error\": \"%s\", ",
           requests, seconds, (double)requests / seconds, outcomes[HIT], outcomes[MISS], outcomes[STORED],
           outcomes[REFUSED], first_refusal);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, ",
           histogram_percentile(&latency, 50), histogram_percentile(&latency, 90), histogram_percentile(&latency, 99),
           histogram_percentile(&latency, 99.9), (double)latency.max / 1000.0);
    printf("\"tls\": \"%s%s%s\", \"cpu_seconds\": %.6f, \"machine_busy\": %.2f, \"machine_stolen\": %.2f, \"watched\": {",
           client->ssl ? SSL_get_version(client->ssl) : "", client->ssl ? " " : "",
           client->ssl ? SSL_get_cipher(client->ssl) : "", own, busy - opening->busy, stolen - opening->stolen);
    for (unsigned i = 0; i < load->watched_count; i++)
        printf("%s\"%d\": %.2f", i ? ", " : "", load->watched[i], cpu_of_process(load->watched[i]) - opening->watched[i]);
    puts("}}");
}

/* The counts so far belong to the warm-up. */
static void forget_counts(void) {
    memset(&latency, 0, sizeof latency);
    memset(outcomes, 0, sizeof outcomes);
}

static bool is_over(const struct load *load, double seconds) {
    if (load->fill) return latency.count == load->keys;
    return load->requests ? latency.count >= load->requests : seconds >= load->seconds;
}

static void run(const struct load *load, struct client **clients) {
    int epoll = epoll_create1(0);
    struct epoll_event events[256];
    struct opening opening = {0};
    uint64_t start = clock_ns(CLOCK_MONOTONIC), last = start;
    for (unsigned i = 0; i < load->connections; i++) {
        ask_anew(load, clients[i], clock_ns(CLOCK_MONOTONIC));
        set_interest(epoll, clients[i], EPOLL_CTL_ADD);
    }
    for (;;) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (!opening.ns && (load->fill || (double)(now - start) >= load->warmup * 1e9)) {
            if (!load->fill) forget_counts();
            open_window(load, &opening);
        } else if (opening.ns && is_over(load, (double)(now - opening.ns) / 1e9)) {
            report(load, clients[0], now, &opening);
            return;
        }
        int ready = epoll_wait(epoll, events, 256, 100);
        if (ready <= 0 && (double)(now - last) > load->patience * 1e9) fail("no reply for %.0f seconds", load->patience);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            bool waited = client->waits_writable;
            if (events[i].events & EPOLLOUT) client_flush(client);
            if (serve(load, client)) {
                last = clock_ns(CLOCK_MONOTONIC);
                ask_anew(load, client, last);
            }
            if (client->waits_writable != waited) set_interest(epoll, client, EPOLL_CTL_MOD);
        }
    }
}

int main(int count, char **arguments) {
    struct load load = {.protocol = &text_protocol, .connections = 50, .pipeline = 1, .reads = 10, .writes = 1,
                        .keys = 10000, .prefix = "bench:", .value_size = 100, .seconds = 3, .warmup = 0.5,
                        .patience = 10, .seed = 42, .cipher = "TLS_AES_256_GCM_SHA384"};
    parse_options(&load, count, arguments);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    random_state = load.seed;
    load.key_length = strlen(load.prefix) + KEY_DIGITS;
    if (load.key_length > 250) fail("--prefix: a key would be longer than memcached's 250 bytes");
    load.key_table = malloc(load.key_length * load.keys + 1);
    for (uint32_t i = 0; i < load.keys; i++)
        sprintf(load.key_table + i * load.key_length, "%s%0*u", load.prefix, KEY_DIGITS, i);
    load.value = malloc(load.value_size + 1);
    for (size_t i = 0; i < load.value_size; i++) load.value[i] = (char)('a' + i % 26);
    SSL_CTX *context = load.ca ? tls_context(&load) : NULL;
    struct client **clients = calloc(load.connections, sizeof *clients);
    for (unsigned i = 0; i < load.connections; i++) {
        clients[i] = calloc(1, sizeof **clients);
        if (!clients[i]) fail("out of memory");
        client_open(&load, clients[i], context, i);
    }
    run(&load, clients);
    return 0;
}
