/* Passes a key that was never initialized, to check that valgrind still reports it. */
#include <dps.h>

int main(void)
{
    char key[44];
    dps_key made;
    return dps_key_from_base64(&made, (dps_span){key, sizeof key}) == DPS_OK ? 1 : 0;
}
