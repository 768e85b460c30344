/* The tests that need only the library. */
#include <stdio.h>

#include "check.h"
#include "vectors_run.h"

unsigned checks_done, checks_failed;

#define TESTS(test)                                                                               \
    test(pointers_of_spans) test(pointers_of_keys) test(pointers_of_tokens) test(pointers_of_registrations) \
    test(pointers_of_codecs) test(buffers_that_are_too_small) test(storage_that_is_too_small)     \
    test(tokens_that_find_no_room) test(tokens_that_were_not_prepared)                            \
    test(keys_as_text) test(tokens_as_text)                                                       \
    test(a_registration_over_mqtt) test(a_refusal_over_http)                                      \
    test(a_connection_that_ends_too_early) test(a_lookup) test(an_operation_that_is_resumed)      \
    test(answers_that_nobody_asked_for) test(objects_that_are_none) test(keys_that_are_copied)    \
    test(sizes_of_other_headers) test(names_for_the_hub) test(secrets_that_are_wiped)             \
    test(failures_of_the_link_and_the_signer) test(values_that_can_never_work)                    \
    test(a_clock_that_is_corrected_over_mqtt) test(a_reply_that_cannot_be_used)                   \
    test(a_time_that_is_learned) test(times_that_must_not_be_believed)                            \
    test(a_time_that_may_not_be_learned) test(a_certificate_that_registers_over_http)             \
    test(a_certificate_that_registers_over_mqtt) test(a_certificate_that_looks_up)                \
    test(a_certificate_that_resumes) test(a_certificate_that_is_refused)                          \
    test(a_tpm_that_registers) test(a_tpm_that_is_refused)                                        \
    test(certificate_requests_that_are_sent) test(certificate_requests_that_are_refused)          \
    test(certificates_that_are_issued) test(profiles_of_hubs) test(versions_of_the_api)           \
    test(requests_by_hand) test(requests_by_hand_are_those_of_a_registration)                     \
    test(requests_by_hand_that_are_refused) test(replies_by_hand) test(replies_by_hand_that_are_refused)

#define DECLARE(name) void name(void);
TESTS(DECLARE)

#define RUN(name) name();

int main(void)
{
    unsigned vectors;
    const char *const failed = vectors_run(&vectors);
    if (failed != NULL)
        fprintf(stderr, "vectors: %s fail\n", failed);
    CHECK(failed == NULL && vectors > 80);
    TESTS(RUN)
    printf("bare: %u vectors, %u checks, %u failed\n", vectors, checks_done, checks_failed);
    return checks_failed == 0 ? 0 : 1;
}
