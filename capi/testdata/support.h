/* What the C tests share: checks that say where they failed, record batches of one int64 column,
 * and a latch. A test is a program that ends with 0 where everything held. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <dcf.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)

/* Integers that must be equal. */
#define SAME(got, want)                                                                        \
  do {                                                                                         \
    int64_t got_ = (int64_t)(got), want_ = (int64_t)(want);                                    \
    if (got_ != want_) {                                                                       \
      fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", __FILE__, __LINE__, #got, \
              got_, want_);                                                                    \
      exit(1);                                                                                 \
    }                                                                                          \
  } while (0)

/* A call of the library that must succeed; `error` is in scope. */
#define OK(call)                                                            \
  do {                                                                      \
    dcf_status status_ = (call);                                            \
    if (status_ != DCF_OK) {                                                \
      fprintf(stderr, "%s:%d: %s gave %s: %s\n", __FILE__, __LINE__, #call, \
              dcf_status_name(status_), error.message);                     \
      exit(1);                                                              \
    }                                                                       \
  } while (0)

/* A call that must fail with that status and a message that contains the text; `error` is in scope.
 * The message is printed: the Go test shows it. */
#define FAILS(call, want, text)                                            \
  do {                                                                     \
    memset(&error, 0, sizeof error);                                       \
    dcf_status status_ = (call);                                           \
    check_failure(__FILE__, __LINE__, #call, status_, want, &error, text); \
  } while (0)

static inline void check_failure(const char* file, int line, const char* call, dcf_status status,
                                 dcf_status want, const dcf_error* error, const char* text) {
  if (status != want || error->status != want || !strstr(error->message, text)) {
    fprintf(stderr, "%s:%d: %s gave %s (%s): %s\nwanted %s: ...%s...\n", file, line, call,
            dcf_status_name(status), dcf_status_name(error->status), error->message,
            dcf_status_name(want), text);
    exit(1);
  }
  printf("%s: %s\n", dcf_status_name(status), error->message);
}

static inline dcf_bytes text(const char* s) { return (dcf_bytes){s, strlen(s)}; }

/* ---- One column of int64 ------------------------------------------------- */

static _Atomic int64_t batches_alive;

typedef struct numbers_memory {
  struct ArrowArray column;
  struct ArrowArray* columns[1];
  const void* none[1];
  const void* buffers[2];
  int64_t values[];
} numbers_memory;

static inline void release_column(struct ArrowArray* array) { array->release = NULL; }
static inline void release_numbers(struct ArrowArray* array) {
  free(array->private_data);
  array->release = NULL;
  atomic_fetch_sub(&batches_alive, 1);
}
static inline void release_field(struct ArrowSchema* schema) { schema->release = NULL; }
static inline void release_type(struct ArrowSchema* schema) {
  free(schema->children[0]);
  free(schema->children);
  schema->release = NULL;
}

/* Makes a batch; the values are those given, or 0, 1, 2, ... for NULL. */
static inline void numbers(const int64_t* values, int64_t count, struct ArrowSchema* schema,
                           struct ArrowArray* array) {
  numbers_memory* n = calloc(1, sizeof *n + (size_t)count * sizeof(int64_t));
  struct ArrowSchema** fields = malloc(sizeof *fields);
  CHECK(n && fields);
  CHECK((fields[0] = calloc(1, sizeof **fields)));
  *fields[0] = (struct ArrowSchema){.format = "l", .name = "value", .release = release_field};
  *schema = (struct ArrowSchema){
      .format = "+s", .name = "", .n_children = 1, .children = fields, .release = release_type};
  for (int64_t i = 0; i < count; i++) n->values[i] = values ? values[i] : i;
  n->buffers[1] = n->values;
  n->columns[0] = &n->column;
  n->column = (struct ArrowArray){
      .length = count, .n_buffers = 2, .buffers = n->buffers, .release = release_column};
  *array = (struct ArrowArray){.length = count,
                               .n_buffers = 1,
                               .buffers = n->none,
                               .n_children = 1,
                               .children = n->columns,
                               .release = release_numbers,
                               .private_data = n};
  atomic_fetch_add(&batches_alive, 1);
}

/* The values of column i of a batch. */
static inline const int64_t* column(const struct ArrowArray* array, int64_t i) {
  const struct ArrowArray* c = array->children[i];
  return (const int64_t*)c->buffers[1] + c->offset;
}

static inline void release_both(struct ArrowSchema* schema, struct ArrowArray* array) {
  schema->release(schema);
  array->release(array);
}

/* ---- Vertices and functions ---------------------------------------------- */

static inline dcf_worker open_worker(void) {
  dcf_error error;
  dcf_worker worker;
  OK(dcf_worker_open(NULL, &worker, &error));
  return worker;
}

/* Puts numbers under a name, or without one for NULL. */
static inline dcf_vertex put_numbers(dcf_worker worker, const char* name, const int64_t* values,
                                     int64_t count) {
  dcf_error error;
  dcf_vertex vertex;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  if (name) options.name = text(name);
  numbers(values, count, &schema, &array);
  OK(dcf_vertex_put(worker, &options, &schema, &array, &vertex, &error));
  CHECK(!schema.release && !array.release);
  return vertex;
}

static inline dcf_udf register_udf(dcf_worker worker, const char* name, uint32_t flags,
                                   dcf_calculate_fn calculate, dcf_merge_fn merge,
                                   void* user_data) {
  dcf_error error;
  dcf_udf udf;
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = text(name);
  definition.flags = flags;
  definition.calculate = calculate;
  definition.merge = merge;
  definition.user_data = user_data;
  OK(dcf_udf_register(worker, &definition, &udf, &error));
  return udf;
}

static inline dcf_vertex_id id_of(dcf_vertex vertex) {
  dcf_error error;
  dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
  OK(dcf_vertex_info_get(vertex, &info, &error));
  return info.id;
}

/* The sum of the first column, and its merge. */
static inline dcf_status sum(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  int64_t total = 0;
  for (int64_t i = 0; input->array && i < input->array->length; i++)
    total += column(input->array, 0)[i];
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}
static inline dcf_status add(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  int64_t total = 0, one;
  for (size_t i = 0; i < input->part_count; i++) {
    const dcf_part* part = (const dcf_part*)((const char*)input->parts + i * input->part_size);
    memcpy(&one, part->bytes.data, sizeof one);
    total += one;
  }
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}

/* ---- Latch --------------------------------------------------------------- */

typedef struct latch {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int waiting, open;
} latch;
#define LATCH_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0}

static inline void latch_wait(latch* l) {
  pthread_mutex_lock(&l->mutex);
  l->waiting++;
  pthread_cond_broadcast(&l->changed);
  while (!l->open) pthread_cond_wait(&l->changed, &l->mutex);
  l->waiting--;
  pthread_cond_broadcast(&l->changed);
  pthread_mutex_unlock(&l->mutex);
}
static inline void latch_open(latch* l) {
  pthread_mutex_lock(&l->mutex);
  l->open = 1;
  pthread_cond_broadcast(&l->changed);
  pthread_mutex_unlock(&l->mutex);
}
/* Waits until n threads stand at the latch. */
static inline void latch_await(latch* l, int n) {
  pthread_mutex_lock(&l->mutex);
  while (l->waiting != n) pthread_cond_wait(&l->changed, &l->mutex);
  pthread_mutex_unlock(&l->mutex);
}

/* A calculate that waits at the latch that is its user data. */
static inline dcf_status stuck(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)input;
  latch_wait(user_data);
  return output->api->bytes(output, text("released"));
}

/* ---- The end ------------------------------------------------------------- */

/* One counter of a worker's statistics, or -1. */
static inline int64_t counter(dcf_worker worker, const char* name) {
  dcf_error error;
  struct ArrowArrayStream stream;
  struct ArrowArray array;
  int64_t found = -1;
  OK(dcf_worker_stats(worker, &stream, &error));
  SAME(stream.get_next(&stream, &array), 0);
  const struct ArrowArray* names = array.children[0];
  const int32_t* offsets = (const int32_t*)names->buffers[1] + names->offset;
  for (int64_t i = 0; i < array.length; i++) {
    size_t size = (size_t)(offsets[i + 1] - offsets[i]);
    if (size == strlen(name) &&
        memcmp((const char*)names->buffers[2] + offsets[i], name, size) == 0)
      found = column(&array, 2)[i];
  }
  array.release(&array);
  stream.release(&stream);
  return found;
}

/* Closes the only worker, and sees that nothing is left. */
static inline void end(dcf_worker worker) {
  dcf_error error;
  SAME(counter(worker, "handles.vertices"), 0);
  SAME(counter(worker, "handles.udfs"), 0);
  SAME(counter(worker, "handles.queues"), 0);
  SAME(counter(worker, "handles.builders"), 0);
  SAME(counter(worker, "handles.tickets"), 0);
  SAME(counter(worker, "handles.workers"), 1);
  OK(dcf_worker_close(worker, 0, &error));
  SAME(atomic_load(&batches_alive), 0);
}

#endif
