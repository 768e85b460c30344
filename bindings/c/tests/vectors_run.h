/* The project's test data, run through the library; for programs on Linux and for firmware. */
#ifndef VECTORS_RUN_H
#define VECTORS_RUN_H

/* Runs them all. Gives null, or the name of the first that fails; `*run` counts those that were run. */
const char *vectors_run(unsigned *run);

#endif
