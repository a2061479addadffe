/* Copies of Arrow arrays, joined by libdcf: the chunks of a stream as one, and what a callback only
 * borrows. */
#include <stdlib.h>

#include "dcf_python.h"

int concat_batches(const struct ArrowSchema* schema, const struct ArrowArray* const* sources,
                   Py_ssize_t count, struct ArrowArray* out) {
  dcf_error error;
  if (refuse_forked()) return -1;
  give_interpreter();
  dcf_status status = dcf_array_concat(schema, sources, (size_t)count, out, &error);
  const bool signalled = !take_interpreter();
  if (signalled && status == DCF_OK) release_array(out);
  if (signalled) return -1;
  if (status == DCF_OK) return 0;
  raise_status(status, &error, NULL);
  return -1;
}

/* ---- Columns: batches of one ------------------------------------------------------- */

static void borrowed_schema(struct ArrowSchema* schema) { schema->release = NULL; }
static void borrowed_array(struct ArrowArray* array) { array->release = NULL; }

typedef struct {
  struct ArrowArray batch;
  const struct ArrowArray* column;
  const void* validity;
} OneColumn;

/* Takes the only column out of a batch, whose memory it keeps. */
static int only_column(const struct ArrowSchema* schema, struct ArrowArray* batch,
                       struct ArrowArray* out) {
  struct ArrowSchema copy;
  if (copy_schema(schema, &copy) < 0) {
    release_array(batch);
    return -1;
  }
  Holder* holder = holder_take(&copy, batch);
  if (holder == NULL) return -1;
  int result = holder_export_array(holder, holder->array.children[0], out);
  holder_drop(holder);
  if (result < 0) PyErr_NoMemory();
  return result;
}

int concat_columns(const struct ArrowSchema* schema, const struct ArrowArray* const* sources,
                   Py_ssize_t count, struct ArrowArray* out) {
  struct ArrowSchema column = *schema;
  struct ArrowSchema* columns = &column;
  struct ArrowSchema batch_schema = {
      .format = "+s", .n_children = 1, .children = &columns, .release = borrowed_schema};
  OneColumn* batches = calloc((size_t)count + 1, sizeof *batches + sizeof(void*));
  if (batches == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  const struct ArrowArray** pointers = (const struct ArrowArray**)(batches + count + 1);
  for (Py_ssize_t i = 0; i < count; i++) {
    OneColumn* one = &batches[i];
    one->column = sources[i];
    one->batch = (struct ArrowArray){.length = sources[i]->length,
                                     .n_buffers = 1,
                                     .n_children = 1,
                                     .buffers = &one->validity,
                                     .children = (struct ArrowArray**)&one->column,
                                     .release = borrowed_array};
    pointers[i] = &one->batch;
  }
  struct ArrowArray joined;
  int result = concat_batches(&batch_schema, pointers, count, &joined);
  free(batches);
  return result < 0 ? -1 : only_column(&batch_schema, &joined, out);
}
