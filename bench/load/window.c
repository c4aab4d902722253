/* The measured window: what is counted in it, what the processors did meanwhile, and the report. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct tally tally;

/* CPU times, in seconds, read when the window opens; the report subtracts them. */
static struct {
    uint64_t ns;
    double own, busy, stolen, watched[WATCHED_MAX];
} opening;

static double own_cpu(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* The line, in a form that may stand in JSON. */
static void keep_refusal(const char *line, size_t length) {
    size_t i = 0;
    for (; i < length && i < sizeof tally.first_refusal - 1 && line[i] != '\r'; i++)
        tally.first_refusal[i] = line[i] < ' ' || line[i] > '~' || strchr("\"\\", line[i]) ? '?' : line[i];
    tally.first_refusal[i] = '\0';
}

void tally_reply(enum outcome outcome, uint64_t ns, const char *reply, size_t length) {
    if (outcome == REFUSED && !tally.outcomes[REFUSED]) keep_refusal(reply, length);
    tally.outcomes[outcome]++;
    histogram_add(&tally.latency, ns);
}

void window_open(const struct load *load) {
    memset(&tally, 0, sizeof tally); /* the counts so far belong to the warm-up */
    for (unsigned i = 0; i < load->watched_count; i++) opening.watched[i] = cpu_of_process(load->watched[i]);
    cpu_of_machine(&opening.busy, &opening.stolen);
    opening.own = own_cpu();
    opening.ns = now_ns();
}

static void report(const struct load *load, uint64_t now) {
    double seconds = (double)(now - opening.ns) / 1e9, own = own_cpu() - opening.own, busy, stolen;
    const uint64_t *outcomes = tally.outcomes;
    uint64_t requests = outcomes[HIT] + outcomes[MISS] + outcomes[STORED] + outcomes[REFUSED];
    cpu_of_machine(&busy, &stolen);
    printf("{\"requests\": %lu, \"seconds\": %.6f, \"requests_per_second\": %.1f, \"hits\": %lu, \"misses\": %lu, "
           "\"stored\": %lu, \"errors\": %lu, \"first_error\": \"%s\", ",
           requests, seconds, (double)requests / seconds, outcomes[HIT], outcomes[MISS], outcomes[STORED],
           outcomes[REFUSED], tally.first_refusal);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, "
           "\"login_p50_us\": %.1f, ",
           histogram_percentile(&tally.latency, 50), histogram_percentile(&tally.latency, 90),
           histogram_percentile(&tally.latency, 99), histogram_percentile(&tally.latency, 99.9),
           (double)tally.latency.max / 1000.0, histogram_percentile(&tally.login, 50));
    printf("\"tls\": \"%s%s\", \"cpu_seconds\": %.6f, \"machine_busy\": %.2f, \"machine_stolen\": %.2f, \"watched\": {",
           load->context ? "TLSv1.3 " : "", load->context ? load->cipher : "", own, busy - opening.busy,
           stolen - opening.stolen);
    for (unsigned i = 0; i < load->watched_count; i++)
        printf("%s\"%d\": %.2f", i ? ", " : "", load->watched[i], cpu_of_process(load->watched[i]) - opening.watched[i]);
    puts("}}");
}

bool window_step(const struct load *load, uint64_t start, uint64_t now) {
    if (!opening.ns) {
        if ((double)(now - start) >= load->warmup * 1e9) window_open(load);
        return false;
    }
    uint64_t count = tally.latency.count;
    bool is_over = load->mode == FILL ? count == load->keys
                   : load->requests   ? count >= load->requests
                                      : (double)(now - opening.ns) >= load->seconds * 1e9;
    if (is_over) report(load, now);
    return is_over;
}
