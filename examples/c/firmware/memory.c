/* The functions that compilers call to copy, fill and compare memory: by C's names, and by those of Arm's run-time ABI. A C
 * library contains them; these are small rather than fast. Without them, the linker uses Rust's, which are fast and more
 * than a kilobyte larger. */
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    unsigned char *t = to;
    for (const unsigned char *f = from; length > 0; length--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    unsigned char *const t = to;
    const unsigned char *const f = from;
    if (t < f)
        return memcpy(to, from, length);
    while (length-- > 0)
        t[length] = f[length];
    return to;
}

void *memset(void *to, int value, size_t length)
{
    for (unsigned char *t = to; length > 0; length--)
        *t++ = (unsigned char)value;
    return to;
}

int memcmp(const void *left, const void *right, size_t length)
{
    const unsigned char *l = left, *r = right;
    for (; length > 0; length--, l++, r++)
        if (*l != *r)
            return *l - *r;
    return 0;
}

#ifdef __arm__

/* Callers ignore the results of Arm's functions; the two that fill have another order of arguments, and each has variants for
 * memory that is aligned to 4 and to 8 bytes. */

void __aeabi_memset(void *to, size_t length, int value)
{
    memset(to, value, length);
}

void __aeabi_memclr(void *to, size_t length)
{
    memset(to, 0, length);
}

#define SAME_AS(name) __attribute__((alias(#name)))
void *__aeabi_memcpy(void *restrict, const void *restrict, size_t) SAME_AS(memcpy);
void *__aeabi_memcpy4(void *restrict, const void *restrict, size_t) SAME_AS(memcpy);
void *__aeabi_memcpy8(void *restrict, const void *restrict, size_t) SAME_AS(memcpy);
void *__aeabi_memmove(void *, const void *, size_t) SAME_AS(memmove);
void *__aeabi_memmove4(void *, const void *, size_t) SAME_AS(memmove);
void *__aeabi_memmove8(void *, const void *, size_t) SAME_AS(memmove);
void __aeabi_memset4(void *, size_t, int) SAME_AS(__aeabi_memset);
void __aeabi_memset8(void *, size_t, int) SAME_AS(__aeabi_memset);
void __aeabi_memclr4(void *, size_t) SAME_AS(__aeabi_memclr);
void __aeabi_memclr8(void *, size_t) SAME_AS(__aeabi_memclr);

#endif
