
/* Helpers -------------------------------------------------------------------- */

#ifdef __cplusplus
#define DPS_LITERAL(type) type
#else
#define DPS_LITERAL(type) (type)
#endif
/** The span of a string literal, without its NUL: `DPS_SPAN("0ne00A1B2C3")`. */
#define DPS_SPAN(literal) (DPS_LITERAL(dps_span){"" literal, sizeof(literal) - 1})
/** The buffer of a whole array; not for a pointer. */
#define DPS_BUFFER(array) (DPS_LITERAL(dps_buffer){(array), sizeof(array)})

/* Results must be checked; compilers that support it warn if one is ignored. */
#ifndef DPS_NODISCARD
#if (defined(__cplusplus) && __cplusplus >= 201703L) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define DPS_NODISCARD [[nodiscard]]
#elif defined(__GNUC__)
#define DPS_NODISCARD __attribute__((warn_unused_result))
#else
#define DPS_NODISCARD
#endif
#endif
