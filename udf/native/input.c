/* What callbacks may ask of their inputs: the functions of dcf.h that take one. An input's private
 * data are the addresses of its batch and of its views, those of a merge input of its batches. */
#include "batch.h"
#include "native.h"
#include "views.h"

/* Defined by package cdata, which every program with this package links; weak as in output.c. */
extern int dcf_schema_export(dcf_schema* schema, struct ArrowSchema* out) __attribute__((weak));
extern int dcf_batch_export(dcf_batch* batch, struct ArrowArray* out) __attribute__((weak));
extern void* dcf_views_get(dcf_views* views, const void* key) __attribute__((weak));
extern int dcf_views_set(dcf_views* views, const void* key, void* view, void (*view_free)(void*))
    __attribute__((weak));

static dcf_status export(dcf_batch* batch, struct ArrowSchema* schema, struct ArrowArray* array) {
  if (!schema || !array) return DCF_INVALID_ARGUMENT;
  if (!batch) return DCF_NOT_FOUND;
  struct ArrowSchema type;
  if (dcf_schema_export(batch->schema, &type)) return DCF_EXHAUSTED;
  if (dcf_batch_export(batch, array)) {
    type.release(&type);
    return DCF_EXHAUSTED;
  }
  *schema = type;
  return DCF_OK;
}

dcf_status dcf_input_export(const dcf_udf_input* input, struct ArrowSchema* schema_out,
                            struct ArrowArray* array_out) {
  if (!input) return DCF_INVALID_ARGUMENT;
  return export((dcf_batch*)(uintptr_t)input->private_data[0], schema_out, array_out);
}

dcf_status dcf_part_export(const dcf_merge_input* input, size_t index,
                           struct ArrowSchema* schema_out, struct ArrowArray* array_out) {
  if (!input || index >= input->part_count) return DCF_INVALID_ARGUMENT;
  dcf_batch* const* batches = (dcf_batch* const*)(uintptr_t)input->private_data[0];
  return export(batches[index], schema_out, array_out);
}

void* dcf_input_view(const dcf_udf_input* input, const void* key) {
  if (!input || !key || !input->private_data[1]) return NULL;
  return dcf_views_get((dcf_views*)(uintptr_t)input->private_data[1], key);
}

dcf_status dcf_input_set_view(const dcf_udf_input* input, const void* key, void* view,
                              void (*view_free)(void*)) {
  if (!input || !key || !view) return DCF_INVALID_ARGUMENT;
  dcf_views* views = (dcf_views*)(uintptr_t)input->private_data[1];
  if (!views) return DCF_UNSUPPORTED;
  if (dcf_views_set(views, key, view, view_free) == 0) return DCF_OK;
  return dcf_views_get(views, key) ? DCF_ALREADY_EXISTS : DCF_EXHAUSTED;
}
