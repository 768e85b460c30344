/* A small test runner: checks that print their file and line when they fail. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

extern unsigned checks_done, checks_failed;

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        checks_done++;                                                                            \
        if (!(condition)) {                                                                       \
            checks_failed++;                                                                      \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);               \
        }                                                                                         \
    } while (0)

/* Like CHECK, for a dps_result: prints the result that was returned. */
#define RETURNS(expected, call)                                                                   \
    do {                                                                                          \
        const dps_result found = (call);                                                          \
        checks_done++;                                                                            \
        if (found != (expected)) {                                                                \
            checks_failed++;                                                                      \
            fprintf(stderr, "%s:%d: %s returned %d, not %s\n", __FILE__, __LINE__, #call, (int)found, #expected); \
        }                                                                                         \
    } while (0)

#define NO_BUFFER(size) ((dps_buffer){NULL, (size)})
#define NO_SPAN(size) ((dps_span){NULL, (size)})

#endif
