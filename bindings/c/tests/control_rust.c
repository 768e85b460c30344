/* Passes a span that is longer than its memory, to check that the sanitizer covers the library's Rust code. */
#include <stdlib.h>
#include <string.h>

#include "dps.h"

int main(void)
{
    dps_key key;
    char *const memory = malloc(8);
    if (memory == NULL)
        return 2;
    memset(memory, 'A', 8);
    const dps_result result = dps_key_from_base64(&key, (dps_span){memory, 24});
    free(memory);
    return result == DPS_OK ? 0 : 1;
}
