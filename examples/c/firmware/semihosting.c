/* Output and exit by semihosting, which the debugger or QEMU implements. */
#include "board.h"
#include "semihosting_call.h"

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

void board_print(const char *text)
{
    semihosting_call(SYS_WRITE0, text);
}

_Noreturn void board_exit(int status)
{
    const uint32_t reason[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)status};
    for (;;)
        semihosting_call(SYS_EXIT_EXTENDED, reason);
}
