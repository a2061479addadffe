/* What the Go and the C half of libdcf share beside the header. */
#ifndef DCF_CAPI_H
#define DCF_CAPI_H

#include "dcf.h"

/* cgo cannot spell `const T*`: with these names an export has the header's exact type, so that the
 * compiler refuses one whose signature is not that of dcf.h. */
typedef const char dcf_char_const;
typedef const dcf_worker_options dcf_worker_options_const;
typedef const dcf_put_options dcf_put_options_const;
typedef const dcf_udf_definition dcf_udf_definition_const;
typedef const struct ArrowSchema dcf_schema_const;
typedef const struct ArrowArray* const dcf_array_const_pointer;

/* One column of a table that Go filled in. Offsets count from the start of the table's block. */
typedef struct dcf_capi_column {
  size_t name;    /* NUL-terminated */
  size_t format;  /* as the Arrow C Data Interface writes types, NUL-terminated */
  size_t offsets; /* of texts and bytes; 0: the type has none */
  size_t values;
} dcf_capi_column;

/* Makes a record batch of an arena block, which belongs to it on DCF_OK. The columns lie at the
 * block's start. */
dcf_status dcf_capi_table(void* block, size_t block_size, size_t columns, int64_t rows,
                          struct ArrowSchema* schema, struct ArrowArray* array);

/* Asks the function given to dcf_set_interrupt. */
int32_t dcf_capi_interrupted(uintptr_t check, uintptr_t user_data);

/* Releases a stream that nobody took. */
void dcf_capi_drop_stream(struct ArrowArrayStream* stream);

/* Makes copies of the outer structs whose release does nothing. */
void dcf_capi_borrow(const struct ArrowSchema* schema, const struct ArrowArray* array,
                     struct ArrowSchema* schema_out, struct ArrowArray* array_out);

/* Frees what the last run of a call left in it, but for its ticket. */
void dcf_capi_clear_results(dcf_call* call);

/* Says that a call holds something, before the first of that is written: all else is empty. */
void dcf_capi_hold(dcf_call_more* more);

/* Limits of limits.go that C needs too. */
#define DCF_CAPI_MAX_HANDLES (1u << 26)
#define DCF_CAPI_MAX_CALLS (1u << 20)

/* What C knows of open handles, so that a call of a function in C on a local vertex does not enter
 * Go, and neither does a small call over shared memory: tables for the kinds that take part. Each
 * has an object and a word, and perhaps more. What is not in it is served by Go. */
#define DCF_CAPI_MORE 4
typedef struct dcf_capi_direct dcf_capi_direct;
extern dcf_capi_direct dcf_capi_workers;  /* dcf_epochs; the node id */
extern dcf_capi_direct dcf_capi_vertices; /* dcf_record; the worker's handle */
extern dcf_capi_direct dcf_capi_udfs;     /* dcf_native_program; the worker's handle */
/* dcf_lanes to the owner; the worker's handle; the connection's number, birth, id (2) */
extern dcf_capi_direct dcf_capi_routes;
/* anything; the worker's handle; the function's identity (2) */
extern dcf_capi_direct dcf_capi_smalls;

/* Enters a handle; more may be NULL. Where memory is out it does not, and Go serves the handle. */
void dcf_capi_enter(dcf_capi_direct* table, uint64_t handle, uint64_t word, uintptr_t object,
                    const uint64_t* more);
/* Takes it out, if it is there: whoever pins from now on does not find it. */
void dcf_capi_leave(dcf_capi_direct* table, uint64_t handle);

#endif
