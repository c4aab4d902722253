/* The command line of the generator. bench/run gives every option; people may use it by hand. */
#include "load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct option option_names[] = {
    {"address", 1, 0, 'a'}, {"connections", 1, 0, 'c'}, {"pipeline", 1, 0, 'p'}, {"size", 1, 0, 's'},
    {"reads", 1, 0, 'r'},   {"writes", 1, 0, 'w'},      {"keys", 1, 0, 'k'},     {"prefix", 1, 0, 'x'},
    {"seconds", 1, 0, 't'}, {"warmup", 1, 0, 'u'},      {"requests", 1, 0, 'n'}, {"ca", 1, 0, 'A'},
    {"cipher", 1, 0, 'C'},  {"login-file", 1, 0, 'l'},  {"protocol", 1, 0, 'P'}, {"seed", 1, 0, 'S'},
    {"watch", 1, 0, 'W'},   {"patience", 1, 0, 'i'},    {"fill", 0, 0, 'f'},     {"batch", 0, 0, 'b'},
    {"logins", 0, 0, 'L'},  {"hold", 0, 0, 'H'},        {"prefixes", 1, 0, 'X'}, {0},
};

static const struct protocol *protocol_by_name(const char *name) {
    const struct protocol *known[] = {&text_protocol, &meta_protocol, &binary_protocol};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]->name) == 0) return known[i];
    fail("--protocol: %s is not known (text, meta, binary)", name);
}

static unsigned long number(const char *text, unsigned long low, unsigned long high, const char *name) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end || value < low || value > high) fail("--%s: %s is not within %lu and %lu", name, text, low, high);
    return value;
}

void parse_options(struct load *load, int count, char **arguments) {
    int letter, which;
    while ((letter = getopt_long(count, arguments, "", option_names, &which)) != -1) {
        const char *name = letter == '?' ? "" : option_names[which].name;
        switch (letter) {
        case 'a': load->address = optarg; break;
        case 'c': load->connections = (unsigned)number(optarg, 1, 100000, name); break;
        case 'p': load->pipeline = (unsigned)number(optarg, 1, 10000, name); break;
        case 's': load->value_size = number(optarg, 0, 1 << 30, name); break;
        case 'r': load->reads = (unsigned)number(optarg, 0, 1000000, name); break;
        case 'w': load->writes = (unsigned)number(optarg, 0, 1000000, name); break;
        case 'k': load->keys = (unsigned)number(optarg, 1, 99999999, name); break;
        case 'x': load->prefix = optarg; break;
        case 't': load->seconds = atof(optarg); break;
        case 'u': load->warmup = atof(optarg); break;
        case 'n': load->requests = number(optarg, 1, UINT64_MAX, name); break;
        case 'A': load->ca = optarg; break;
        case 'C': load->cipher = optarg; break;
        case 'l': load->login_file = optarg; break;
        case 'P': load->protocol = protocol_by_name(optarg); break;
        case 'X': load->prefixes = (unsigned)number(optarg, 1, 10000, name); break;
        case 'S': load->seed = number(optarg, 1, UINT64_MAX, name); break;
        case 'i': load->patience = atof(optarg); break;
        case 'f': load->mode = FILL; break;
        case 'L': load->mode = LOGINS; break;
        case 'H': load->mode = HOLD; break;
        case 'b': load->batch = true; break;
        case 'W':
            if (load->watched_count == WATCHED_MAX) fail("--watch: at most %d processes", WATCHED_MAX);
            load->watched[load->watched_count++] = (int)number(optarg, 1, 1 << 30, name);
            break;
        default: exit(2);
        }
    }
    if (!load->address || optind != count) fail("needs --address HOST:PORT or unix:PATH, and options only");
    if (load->mode == LOGINS || load->mode == HOLD) load->pipeline = 1;
    if (load->reads + load->writes == 0) fail("--reads and --writes are both 0");
}
