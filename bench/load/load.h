/* The load generator: shared declarations. See load.c for what it does and why. */
#ifndef LOAD_H
#define LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_DIGITS 8 /* a key is the prefix and a number of this many digits */
#define INPUT_SIZE 65536
#define WATCHED_MAX 64

struct load {
    const char *address;    /* HOST:PORT with a numeric IPv4 host, or unix:PATH */
    const char *ca;         /* TLS when given: the certificate that must have signed the server's */
    const char *cipher;     /* the one TLS 1.3 suite offered, so that every server does the same work */
    const char *login_file; /* "user password" on the first line; NULL: no login */
    const char *prefix;
    const struct protocol *protocol;
    unsigned connections, pipeline, reads, writes, keys;
    size_t value_size;
    double seconds, warmup, patience; /* patience: seconds without any reply before giving up */
    uint64_t requests;                /* stop after so many in the window; 0: after `seconds` */
    uint64_t seed;
    bool fill;  /* store every key once and stop */
    bool batch; /* ask only when nothing is in flight, `pipeline` requests at once */
    unsigned watched_count;
    int watched[WATCHED_MAX]; /* processes whose CPU time over the window is reported */

    size_t key_length;
    char *key_table; /* `keys` keys of key_length bytes, one behind the other */
    char *value;     /* value_size bytes; each stored value starts with its own key */
};

enum outcome { INCOMPLETE, HIT, MISS, STORED, REFUSED, WRONG };

/* One request in flight. */
struct request {
    uint64_t sent_ns;
    uint32_t key;
    bool is_set;
};

/* One connection and what it waits for, oldest request first, in a ring of `pipeline` places. */
struct client {
    int fd;
    unsigned number;
    SSL *ssl;
    struct request *flight;
    unsigned oldest, in_flight;

    char *output;
    size_t output_start, output_end, output_size;
    bool waits_writable;

    char input[INPUT_SIZE];
    size_t input_end;
    size_t body_at; /* bytes of the current reply's block already taken, its tail included; 0: at a line */
};

/* What another protocol has to bring. Requests are for the key of that number. */
struct protocol {
    const char *name;
    size_t (*request_size)(const struct load *, bool is_set); /* at most so many bytes */
    size_t (*write_request)(const struct load *, char *out, uint32_t key, bool is_set);
    /* Takes what it can of the oldest request's reply; returns the bytes taken. INCOMPLETE: more must come. */
    size_t (*read_reply)(const struct load *, struct client *, const char *data, size_t length, enum outcome *);
};
extern const struct protocol text_protocol;
const struct protocol *protocol_by_name(const char *name);

static inline const char *key_of(const struct load *load, uint32_t key) {
    return load->key_table + (size_t)key * load->key_length;
}

/* client.c: all of these end the program with a message when the connection fails. */
void client_open(const struct load *, struct client *, SSL_CTX *, unsigned number);
void client_ask(const struct load *, struct client *, uint32_t key, bool is_set, uint64_t now_ns);
void client_flush(struct client *);
size_t client_receive(struct client *); /* bytes newly in input; 0: none for now */
SSL_CTX *tls_context(const struct load *);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* options.c */
void parse_options(struct load *, int count, char **arguments);

/* cpu.c */
double cpu_of_process(int pid);
void cpu_of_machine(double *busy, double *stolen);

/* histogram.c: nanoseconds in buckets of 1/64 of a power of two, so at most 1.6% wide. */
struct histogram {
    uint64_t count, max, bucket[64 * 64];
};
void histogram_add(struct histogram *, uint64_t ns);
double histogram_percentile(const struct histogram *, double percent); /* microseconds */

#endif
