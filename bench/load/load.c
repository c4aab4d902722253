/* Load for memcached, or for a proxy in front of it, from one thread.
 *
 * Every connection keeps `pipeline` requests in flight: what a receive answers is asked anew in one send. Nothing is
 * allocated, formatted or looked up per request, so that the generator costs little beside the servers it measures.
 * Every reply is checked: the value must be that of the key asked (it starts with its own key), have the size stored
 * and end where it says; the key or opaque that a reply names must be the one asked. A reply that is wrong ends the
 * program with status 1 and a message: such a server has no speed.
 *
 * The measured window opens after `warmup` seconds. Counts, latencies and CPU times (its own, and from /proc those of
 * the processes given with --watch, all threads) are those of the window. A JSON object goes to standard output. */
#include "load.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void make_keys(struct load *load) {
    char key[512];
    size_t group = load->prefixes > 1 ? strlen("0000:") : 0;
    load->key_length = strlen(load->prefix) + group + KEY_DIGITS;
    if (load->key_length > 250) fail("--prefix: a key would be longer than memcached's 250 bytes");
    load->key_table = malloc(load->key_length * load->keys);
    for (uint32_t i = 0; i < load->keys; i++) {
        if (group)
            sprintf(key, "%s%04u:%0*u", load->prefix, i % load->prefixes, KEY_DIGITS, i);
        else
            sprintf(key, "%s%0*u", load->prefix, KEY_DIGITS, i);
        memcpy(load->key_table + (size_t)i * load->key_length, key, load->key_length);
    }
}

static void make_value(struct load *load) {
    load->value = malloc(load->value_size + 1);
    for (size_t i = 0; i < load->value_size; i++) load->value[i] = (char)('a' + i % 26);
    load->own_length = load->key_length < load->value_size ? load->key_length : load->value_size;
}

int main(int count, char **arguments) {
    struct load load = {.protocol = &text_protocol, .connections = 50, .pipeline = 1, .reads = 10, .writes = 1,
                        .keys = 10000, .prefix = "bench:", .prefixes = 1, .value_size = 100, .seconds = 3,
                        .warmup = 0.5, .patience = 10, .seed = 42, .cipher = "TLS_AES_256_GCM_SHA384"};
    parse_options(&load, count, arguments);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    random_start(load.seed);
    make_keys(&load);
    make_value(&load);
    load.protocol->prepare(&load);
    load.value_end_length = strlen(load.value_end);
    load.reply_end_length = strlen(load.reply_end);
    if (load.login_file) read_logins(&load);
    load.context = load.ca ? tls_context(&load) : NULL;
    if (load.mode == LOGINS) {
        run_logins(&load);
        return 0;
    }
    struct client **clients = calloc(load.connections, sizeof *clients);
    for (unsigned i = 0; i < load.connections; i++) {
        clients[i] = calloc(1, sizeof **clients);
        if (!clients[i] || !(clients[i]->flight = calloc(load.pipeline, sizeof *clients[i]->flight))) fail("out of memory");
        client_open(&load, clients[i], i);
    }
    (load.mode == HOLD ? run_hold : run_steady)(&load, clients);
    return 0;
}
