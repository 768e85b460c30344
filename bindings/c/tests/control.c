/* Makes the mistake that the argument names, to check that the sanitizer reports it. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "overflow") == 0) {
        volatile int largest = INT_MAX;
        largest = largest + argc;
        return largest;
    }
    char *volatile memory = malloc(8);
    memory[7 + argc] = 1;
    free(memory);
    return 0;
}
