/* A log-linear histogram: exact below 64 ns, then 64 buckets to each power of two. */
#include "load.h"

static unsigned bucket_of(uint64_t ns) {
    if (ns < 64) return (unsigned)ns;
    unsigned shift = 57 - (unsigned)__builtin_clzll(ns); /* so that ns >> shift is 64 to 127 */
    return (shift + 1) * 64 + (unsigned)((ns >> shift) - 64);
}

static uint64_t middle_of(unsigned bucket) {
    if (bucket < 64) return bucket;
    unsigned shift = bucket / 64 - 1;
    return ((uint64_t)(bucket % 64 + 64) << shift) + ((UINT64_C(1) << shift) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns) {
    histogram->bucket[bucket_of(ns)]++;
    histogram->count++;
    if (ns > histogram->max) histogram->max = ns;
}

double histogram_percentile(const struct histogram *histogram, double percent) {
    double wanted = (double)histogram->count * percent / 100.0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < 64 * 64; i++) {
        seen += histogram->bucket[i];
        if (histogram->bucket[i] && (double)seen >= wanted) return (double)middle_of(i) / 1000.0;
    }
    return (double)histogram->max / 1000.0;
}
