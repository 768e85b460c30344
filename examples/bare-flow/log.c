/* Where defmt's frames go: nowhere. Real firmware has a crate for it, such as defmt-rtt, whose code and buffer would be
 * measured along here. */
#include <stddef.h>

void _defmt_acquire(void);
void _defmt_flush(void);
void _defmt_release(void);
void _defmt_write(const unsigned char *bytes, size_t length);

void _defmt_acquire(void)
{
}

void _defmt_flush(void)
{
}

void _defmt_release(void)
{
}

void _defmt_write(const unsigned char *bytes, size_t length)
{
    (void)bytes;
    (void)length;
}
