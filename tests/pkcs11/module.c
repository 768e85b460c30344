/* A PKCS#11 module for tests: forwards every call to SoftHSM, injects faults, and counts.
 *
 * Faults are files in the folder of this shared library, or in the one that DPS_TEST_TOKEN names; they take effect at once:
 *   final-try          C_GetTokenInfo reports CKF_USER_PIN_FINAL_TRY
 *   locked             C_GetTokenInfo reports CKF_USER_PIN_LOCKED
 *   no-user-pin        C_Login returns CKR_USER_PIN_NOT_INITIALIZED
 *   login-locked       C_Login returns CKR_PIN_LOCKED
 *   removed            C_OpenSession and C_SignInit return CKR_DEVICE_REMOVED
 *   mechanism-invalid  C_SignInit returns CKR_MECHANISM_INVALID
 *   session-lost       C_SignInit returns CKR_SESSION_HANDLE_INVALID once, and removes the file
 *   block              C_Sign blocks for 30 s, or until the file is removed
 *   close-slowly       C_CloseSession takes 200 ms more
 *   hide-N             C_GetMechanismList leaves out the mechanism with the decimal number N
 * A byte is added to the file `logins` by each C_Login, to `finalized` by each C_Finalize, to `blocked` when C_Sign begins to
 * block, and to `ended-in-call` when the process ends while C_Sign or C_CloseSession is going on, which may crash it. SoftHSM is configured by `softhsm2.conf` in the same folder.
 *
 * Built by `cargo xtask pkcs11` with -DSOFTHSM="PATH OF libsofthsm2.so". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*function_t)(void);

/* CK_FUNCTION_LIST of PKCS#11 2.40, with the functions by their numbers. */
enum {
    INITIALIZE = 0,
    FINALIZE = 1,
    GET_FUNCTION_LIST = 3,
    GET_TOKEN_INFO = 6,
    GET_MECHANISM_LIST = 7,
    OPEN_SESSION = 12,
    CLOSE_SESSION = 13,
    LOGIN = 18,
    SIGN_INIT = 42,
    SIGN = 43,
    FUNCTIONS = 68,
};
struct functions {
    unsigned char version[2];
    function_t function[FUNCTIONS];
};

/* CK_TOKEN_INFO up to its flags. */
struct token_info {
    unsigned char names[96];
    ulong_t flags;
};

#define OK 0x00UL
#define GENERAL_ERROR 0x05UL
#define DEVICE_REMOVED 0x32UL
#define MECHANISM_INVALID 0x70UL
#define PIN_LOCKED 0xA4UL
#define SESSION_HANDLE_INVALID 0xB3UL
#define USER_PIN_NOT_INITIALIZED 0x102UL
#define FLAG_FINAL_TRY 0x20000UL
#define FLAG_LOCKED 0x40000UL

static struct functions softhsm;
static struct functions own;
static char folder[3000];

static atomic_int calls;

static const char *path_of(const char *name, char *path, size_t size) {
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static int is_set(const char *fault) {
    char path[4096];
    return access(path_of(fault, path, sizeof path), F_OK) == 0;
}

static void count(const char *name) {
    char path[4096];
    FILE *file = fopen(path_of(name, path, sizeof path), "a");
    if (file != NULL) {
        fputc('x', file);
        fclose(file);
    }
}

static ulong_t finalize(void *reserved) {
    count("finalized");
    return ((ulong_t (*)(void *))softhsm.function[FINALIZE])(reserved);
}

static ulong_t get_token_info(ulong_t slot, struct token_info *info) {
    ulong_t result = ((ulong_t (*)(ulong_t, struct token_info *))softhsm.function[GET_TOKEN_INFO])(slot, info);
    if (result == OK && is_set("final-try")) {
        info->flags |= FLAG_FINAL_TRY;
    }
    if (result == OK && is_set("locked")) {
        info->flags |= FLAG_LOCKED;
    }
    return result;
}

static ulong_t get_mechanism_list(ulong_t slot, ulong_t *list, ulong_t *length) {
    ulong_t result =
        ((ulong_t (*)(ulong_t, ulong_t *, ulong_t *))softhsm.function[GET_MECHANISM_LIST])(slot, list, length);
    if (result != OK || list == NULL) {
        return result;
    }
    ulong_t kept = 0;
    for (ulong_t at = 0; at < *length; at++) {
        char name[40];
        snprintf(name, sizeof name, "hide-%lu", list[at]);
        if (!is_set(name)) {
            list[kept++] = list[at];
        }
    }
    *length = kept;
    return OK;
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session) {
    if (is_set("removed")) {
        return DEVICE_REMOVED;
    }
    return ((ulong_t (*)(ulong_t, ulong_t, void *, void *, ulong_t *))softhsm.function[OPEN_SESSION])(
        slot, flags, application, notify, session);
}

static ulong_t close_session(ulong_t session) {
    atomic_fetch_add(&calls, 1);
    if (is_set("close-slowly")) {
        usleep(200000);
    }
    ulong_t result = ((ulong_t (*)(ulong_t))softhsm.function[CLOSE_SESSION])(session);
    atomic_fetch_sub(&calls, 1);
    return result;
}

/* Runs at the end of the process, as those of SoftHSM and its libraries do. */
__attribute__((destructor)) static void end(void) {
    if (atomic_load(&calls) > 0) {
        count("ended-in-call");
    }
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length) {
    count("logins");
    if (is_set("login-locked")) {
        return PIN_LOCKED;
    }
    if (is_set("no-user-pin")) {
        return USER_PIN_NOT_INITIALIZED;
    }
    return ((ulong_t (*)(ulong_t, ulong_t, unsigned char *, ulong_t))softhsm.function[LOGIN])(
        session, user, pin, length);
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key) {
    if (is_set("removed")) {
        return DEVICE_REMOVED;
    }
    if (is_set("mechanism-invalid")) {
        return MECHANISM_INVALID;
    }
    if (is_set("session-lost")) {
        char path[4096];
        unlink(path_of("session-lost", path, sizeof path));
        return SESSION_HANDLE_INVALID;
    }
    return ((ulong_t (*)(ulong_t, void *, ulong_t))softhsm.function[SIGN_INIT])(session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t size, unsigned char *signature, ulong_t *length) {
    atomic_fetch_add(&calls, 1);
    if (is_set("block")) {
        count("blocked");
        time_t end = time(NULL) + 30;
        while (is_set("block") && time(NULL) < end) {
            usleep(50000);
        }
    }
    ulong_t result =
        ((ulong_t (*)(ulong_t, unsigned char *, ulong_t, unsigned char *, ulong_t *))softhsm.function[SIGN])(
            session, data, size, signature, length);
    atomic_fetch_sub(&calls, 1);
    return result;
}

static ulong_t get_own_list(struct functions **list);

/* Finds the folder, loads SoftHSM and fills in the list; returns 0 if SoftHSM cannot be loaded. */
static int load(void) {
    Dl_info library;
    const char *named = getenv("DPS_TEST_TOKEN");
    if (own.function[INITIALIZE] != NULL) {
        return 1;
    }
    if (named != NULL) {
        snprintf(folder, sizeof folder, "%s", named);
    } else if (dladdr((void *)&own, &library) != 0 && library.dli_fname != NULL) {
        const char *slash = strrchr(library.dli_fname, '/');
        snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - library.dli_fname),
                 slash == NULL ? "." : library.dli_fname);
    }
    char path[4096];
    setenv("SOFTHSM2_CONF", path_of("softhsm2.conf", path, sizeof path), 1);
    void *handle = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return 0;
    }
    struct functions *list = NULL;
    ulong_t (*get_list)(struct functions **) = (ulong_t (*)(struct functions **))dlsym(handle, "C_GetFunctionList");
    if (get_list == NULL || get_list(&list) != OK || list == NULL) {
        return 0;
    }
    softhsm = *list;
    own = *list;
    own.function[FINALIZE] = (function_t)finalize;
    own.function[GET_FUNCTION_LIST] = (function_t)get_own_list;
    own.function[GET_TOKEN_INFO] = (function_t)get_token_info;
    own.function[GET_MECHANISM_LIST] = (function_t)get_mechanism_list;
    own.function[OPEN_SESSION] = (function_t)open_session;
    own.function[CLOSE_SESSION] = (function_t)close_session;
    own.function[LOGIN] = (function_t)login;
    own.function[SIGN_INIT] = (function_t)sign_init;
    own.function[SIGN] = (function_t)sign;
    return 1;
}

static ulong_t get_own_list(struct functions **list) {
    if (!load()) {
        return GENERAL_ERROR;
    }
    *list = &own;
    return OK;
}

__attribute__((visibility("default"))) ulong_t C_GetFunctionList(struct functions **list) {
    return get_own_list(list);
}
