/* The load generator: shared declarations. See load.c for what it does and why. */
#ifndef LOAD_H
#define LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_DIGITS 8 /* a key ends in a number of this many digits */
#define INPUT_SIZE 65536
#define WATCHED_MAX 64

/* What is the same in all requests of a kind: a request is head, key, tail, and for a set the value and value_end. */
struct frame {
    char head[64], tail[64];
    size_t head_length, tail_length;
};

/* One user: what is sent to log in, ready made. */
struct login {
    char *request;
    size_t length;
};

enum mode { STEADY, FILL, LOGINS, HOLD };

struct load {
    const char *address;    /* HOST:PORT with a numeric IPv4 host, or unix:PATH */
    const char *ca;         /* TLS when given: a file with the certificate that the server must have */
    const char *cipher;     /* the one TLS 1.3 suite offered, so that every server does the same work */
    const char *login_file; /* a line "user password" for each user; NULL: no login */
    const char *prefix;
    const struct protocol *protocol;
    enum mode mode;
    unsigned connections, pipeline, reads, writes, keys;
    unsigned prefixes; /* above 1: keys are spread over so many prefixes below `prefix`, "0000:" and so on */
    size_t value_size;
    double seconds, warmup, patience; /* patience: seconds without any reply before giving up */
    uint64_t requests;                /* stop after so many in the window; 0: after `seconds` */
    uint64_t seed;
    bool batch; /* ask only when nothing is in flight, `pipeline` requests at once */
    unsigned watched_count;
    int watched[WATCHED_MAX]; /* processes whose CPU time over the window is reported */

    SSL_CTX *context;
    struct login *logins;
    unsigned login_count;
    size_t key_length;
    char *key_table;   /* `keys` keys of key_length bytes, one behind the other */
    char *value;       /* value_size bytes; each stored value starts with its own key */
    size_t own_length; /* how much of its key a value starts with: all of it, unless the value is shorter */
    struct frame get, set;
    const char *value_end; /* behind the value, in a set */
    char reply_head[64];   /* between the key, or nothing, and the value in the reply to a get */
    size_t reply_head_length;
    const char *reply_end; /* behind the value, in the reply to a get */
    size_t value_end_length, reply_end_length;
};

enum outcome { INCOMPLETE, HIT, MISS, STORED, REFUSED, WRONG };

/* One request in flight. */
struct request {
    uint64_t sent_ns;
    uint32_t key;
    bool is_set;
};

enum stage { HANDSHAKING, LOGGING_IN, READY };

/* One connection and what it waits for, oldest request first, in a ring of `pipeline` places. */
struct client {
    int fd;
    unsigned number;
    SSL *ssl;
    enum stage stage;
    uint64_t opened_ns, login_sent_ns;
    struct request *flight;
    unsigned oldest, in_flight;
    uint32_t asked; /* requests so far; the opaque of the next one */

    char *output;
    size_t output_start, output_end, output_size;
    bool waits_writable;

    size_t input_end;
    size_t body_at; /* bytes of the current reply's block already taken, its tail included, plus 1; 0: before it */
    char input[INPUT_SIZE];
};

/* What a protocol has to bring. */
struct protocol {
    const char *name;
    void (*prepare)(struct load *); /* fills the frames and what surrounds a value */
    /* Sets what differs from request to request in a frame just written, such as an opaque. NULL: nothing. */
    void (*number)(char *frame, uint32_t opaque);
    /* Takes what it can of the oldest request's reply; returns the bytes taken. INCOMPLETE: more must come. */
    size_t (*read_reply)(const struct load *, struct client *, const char *data, size_t length, enum outcome *);
    size_t (*write_login)(char *out, size_t size, const char *user, const char *password);
    /* HIT: logged in. */
    size_t (*read_login)(const char *data, size_t length, enum outcome *);
};
extern const struct protocol text_protocol, meta_protocol, binary_protocol;

static inline const char *key_of(const struct load *load, uint32_t key) {
    return load->key_table + (size_t)key * load->key_length;
}

/* The oldest request in flight, and its opaque. */
static inline const struct request *oldest_of(const struct client *client) { return &client->flight[client->oldest]; }
static inline uint32_t oldest_opaque(const struct client *client) { return client->asked - client->in_flight; }

/* text.c */
size_t read_block(const struct load *, struct client *, const char *data, size_t length, enum outcome *);
bool starts(const char *data, size_t length, const char *with);
bool is_error_line(const char *data, size_t length);
size_t token_login(char *out, size_t size, const char *user, const char *password);
size_t read_token_reply(const char *data, size_t length, enum outcome *);

/* connect.c: all of these end the program with a message when the connection fails. */
SSL_CTX *tls_context(const struct load *);
void client_connect(const struct load *, struct client *, uint64_t now_ns); /* does not wait */
bool client_enter(const struct load *, struct client *); /* TLS and login as far as they go; true: READY now */
void client_open(const struct load *, struct client *, unsigned number); /* waits until it is READY */
void client_close(struct client *);
void read_logins(struct load *);

/* client.c: these too */
void client_ask(const struct load *, struct client *, uint32_t key, bool is_set, uint64_t now_ns);
void client_flush(struct client *);
size_t client_receive(struct client *); /* bytes newly in input; 0: none for now */
/* One receive, or with TLS as many as OpenSSL holds bytes for. Returns the replies; `now_ns` becomes their time. */
unsigned client_serve(const struct load *, struct client *, uint64_t *now_ns);

/* steady.c, arrivals.c, hold.c: the three ways to load a server */
void run_steady(const struct load *, struct client **);
void run_logins(const struct load *);
void run_hold(const struct load *, struct client **);
uint32_t random_below(uint32_t limit);
void random_start(uint64_t seed);

/* load.c */
uint64_t now_ns(void);
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

/* window.c: what is counted between its opening and the report. */
struct tally {
    struct histogram latency, login;
    uint64_t outcomes[WRONG + 1];
    char first_refusal[128];
};
extern struct tally tally;
void tally_reply(enum outcome, uint64_t ns, const char *reply, size_t length);
void window_open(const struct load *);
bool window_step(const struct load *, uint64_t start_ns, uint64_t now_ns); /* true: it is over and was reported */

#endif
