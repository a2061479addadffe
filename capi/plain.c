/* The functions that need no Go, and the steps of others that only C can do. */
#include <string.h>

#include "capi.h"

/* Defined by package arena, which every program with this package links. Weak, because the tool
 * that builds this package links its C code once by itself, to see what it needs. */
extern void dcf_arena_free(void* block, size_t size) __attribute__((weak));
/* The Go half, weak for the same reason. */
extern void dcf_capi_forget(uint64_t ticket) __attribute__((weak));
extern void dcf_capi_set_interrupt(uintptr_t check, uintptr_t user_data) __attribute__((weak));

uint32_t dcf_abi_version(void) { return DCF_ABI_VERSION; }

const char* dcf_status_name(dcf_status status) {
  static const char* const names[] = {
      "DCF_OK",        "DCF_INTERNAL",       "DCF_INVALID_ARGUMENT", "DCF_BAD_HANDLE",
      "DCF_NOT_FOUND", "DCF_ALREADY_EXISTS", "DCF_UNAVAILABLE",      "DCF_TIMEOUT",
      "DCF_CANCELLED", "DCF_EXHAUSTED",      "DCF_UDF_FAILED",       "DCF_UNSUPPORTED",
      "DCF_DENIED",    "DCF_ABORTED",        "DCF_CORRUPT",          "DCF_INTERRUPTED",
  };
  if (status < 0 || (size_t)status >= sizeof names / sizeof names[0]) return "DCF_STATUS_UNKNOWN";
  return names[status];
}

void dcf_set_interrupt(int32_t (*check)(void* user_data), void* user_data) {
  dcf_capi_set_interrupt((uintptr_t)check, (uintptr_t)user_data);
}

int32_t dcf_capi_interrupted(uintptr_t check, uintptr_t user_data) {
  return ((int32_t (*)(void*))check)((void*)user_data);
}

void dcf_capi_drop_stream(struct ArrowArrayStream* stream) {
  if (stream && stream->release) stream->release(stream);
}

static void keep_schema(struct ArrowSchema* schema) { schema->release = NULL; }
static void keep_array(struct ArrowArray* array) { array->release = NULL; }

void dcf_capi_borrow(const struct ArrowSchema* schema, const struct ArrowArray* array,
                     struct ArrowSchema* schema_out, struct ArrowArray* array_out) {
  *schema_out = *schema;
  schema_out->release = keep_schema;
  *array_out = *array;
  array_out->release = keep_array;
}

static void empty_more(dcf_call_more* more) {
  more->result_bytes = (dcf_bytes){0, 0};
  more->error_detail = (dcf_bytes){0, 0};
  memset(&more->result_schema, 0, sizeof more->result_schema);
  memset(&more->result_array, 0, sizeof more->result_array);
  memset(&more->result_parts, 0, sizeof more->result_parts);
  memset(more->private_data, 0, sizeof more->private_data);
}

static void clear_more(dcf_call_more* more) {
  if (!more->held) return;
  if (more->private_data[0])
    dcf_arena_free((void*)(uintptr_t)more->private_data[0], more->private_data[1]);
  if (more->result_schema.release) more->result_schema.release(&more->result_schema);
  if (more->result_array.release) more->result_array.release(&more->result_array);
  if (more->result_parts.release) more->result_parts.release(&more->result_parts);
  empty_more(more);
  more->held = 0;
}

void dcf_capi_hold(dcf_call_more* more) {
  if (!more->held) empty_more(more);
  more->held = 1;
}

void dcf_capi_clear_results(dcf_call* call) {
  if (call->more) clear_more(call->more);
}

void dcf_call_clear(dcf_call* call) {
  if (!call) return;
  dcf_capi_clear_results(call);
  if (call->private_data) dcf_capi_forget(call->private_data);
  call->private_data = 0;
  call->ticket = 0;
  call->result_size = 0;
  call->status = DCF_OK;
  call->result_kind = DCF_RESULT_NONE;
  call->effects = DCF_EFFECTS_NONE;
}
