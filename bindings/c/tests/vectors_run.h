/* Runs the project's test data through the library, in programs on Linux and in firmware. */
#ifndef VECTORS_RUN_H
#define VECTORS_RUN_H

/* Runs all vectors. Returns null, or the name of the first that fails; `*run` is set to the number of vectors run. */
const char *vectors_run(unsigned *run);

#endif
