/* Passes a key that was not written, so that it shows whether valgrind still finds that. */
#include <dps.h>

int main(void)
{
    char key[44];
    dps_key made;
    return dps_key_from_base64(&made, (dps_span){key, sizeof key}) == DPS_OK ? 1 : 0;
}
