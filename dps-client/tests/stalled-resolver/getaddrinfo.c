/* A resolver whose name servers do not answer, to be preloaded (LD_PRELOAD): names under `.stalled.test` take a minute and
   then fail; all others go to the system's resolver. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static const char end[] = ".stalled.test";
    const size_t length = node == NULL ? 0 : strlen(node);
    if (length >= sizeof end - 1 && strcmp(node + length - (sizeof end - 1), end) == 0) {
        sleep(60);
        return EAI_AGAIN;
    }
    resolver *const next = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    return next == NULL ? EAI_SYSTEM : next(node, service, hints, found);
}
