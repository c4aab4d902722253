/* What the processors did: of one process, and of the whole machine. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* User and system time of a process, all threads, in seconds: fields 14 and 15 of /proc/PID/stat (proc(5)), which
 * count in clock ticks, usually 10 ms. */
double cpu_of_process(int pid) {
    char path[64], text[1024];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file)) fail("process %d to watch is gone", pid);
    fclose(file);
    const char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("%s: cannot be read", path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Seconds, all processors together: at work for anybody, and taken away by the hypervisor (proc(5), /proc/stat). */
void cpu_of_machine(double *busy, double *stolen) {
    unsigned long user, nice, system, idle, wait, interrupts, soft, steal;
    double tick = (double)sysconf(_SC_CLK_TCK);
    FILE *file = fopen("/proc/stat", "r");
    if (!file || fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &wait, &interrupts,
                        &soft, &steal) != 8)
        fail("/proc/stat: cannot be read");
    fclose(file);
    *busy = (double)(user + nice + system + interrupts + soft) / tick;
    *stolen = (double)steal / tick;
}
