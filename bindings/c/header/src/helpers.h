
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
