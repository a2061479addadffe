/* Calls while what they use is replaced, dropped, given back and opened again: a call sees one
 * whole version of a vertex and one whole function, or says that its handle is no longer good.
 * Memory that is given back is spoiled first, so that who reads it late sees it. */
#include "support.h"

#define CALLERS 3
#define VALUES 64
#define SPOILED INT64_MIN

static struct {
  dcf_worker worker;
  _Atomic uint64_t vertex, udf; /* handles, replaced all the time */
  _Atomic int stop;
  _Atomic long served, stale;
} all;

/* ---- What is replaced -------------------------------------------------------- */

static void spoil_numbers(struct ArrowArray* array) {
  numbers_memory* n = array->private_data;
  for (int i = 0; i < VALUES; i++) n->values[i] = SPOILED;
  release_numbers(array);
}

/* All values are equal. */
static void batch_of(int64_t value, struct ArrowSchema* schema, struct ArrowArray* array) {
  int64_t values[VALUES];
  for (int i = 0; i < VALUES; i++) values[i] = value;
  numbers(values, VALUES, schema, array);
  array->release = spoil_numbers;
}

static dcf_vertex put_value(int64_t value) {
  dcf_error error;
  dcf_vertex vertex;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  batch_of(value, &schema, &array);
  OK(dcf_vertex_put(all.worker, &options, &schema, &array, &vertex, &error));
  return vertex;
}

typedef struct factor {
  int64_t once, twice;
} factor;

static void spoil_factor(void* user_data) {
  *(factor*)user_data = (factor){1, SPOILED};
  free(user_data);
}

/* The sum of equal values, times a factor that is written down twice and as auxiliary data:
 * whatever was mixed from two versions or two functions, or is spoiled, fails. */
static dcf_status scaled(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  const factor* f = user_data;
  const int64_t* values = column(input->array, 0);
  int64_t total = 0, auxiliary;
  memcpy(&auxiliary, input->auxiliary.data, sizeof auxiliary);
  CHECK(f->once == f->twice && auxiliary == f->once && f->once > 0);
  for (int i = 0; i < VALUES; i++) {
    CHECK(values[i] == values[0] && values[i] > 0);
    total += values[i] * f->once;
  }
  CHECK(input->array->length == VALUES && total == VALUES * values[0] * f->twice);
  /* Every seventh answer is one that Go has to take. */
  if (values[0] % 7 == 0) output->api->log(output, 0, text("seven"));
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}

static dcf_udf register_factor(int64_t value) {
  dcf_error error;
  dcf_udf udf;
  char name[32];
  factor* f = malloc(sizeof *f);
  CHECK(f);
  *f = (factor){value, value};
  snprintf(name, sizeof name, "times %" PRId64, value);
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = text(name);
  definition.auxiliary = (dcf_bytes){&value, sizeof value};
  definition.calculate = scaled;
  definition.user_data = f;
  definition.user_data_free = spoil_factor;
  OK(dcf_udf_register(all.worker, &definition, &udf, &error));
  return udf;
}

/* ---- The threads ------------------------------------------------------------- */

static void* call_all_the_time(void* unused) {
  (void)unused;
  while (!atomic_load(&all.stop)) {
    dcf_vertex vertices[4];
    dcf_call calls[4];
    int64_t got[4] = {0};
    const dcf_udf udf = {atomic_load(&all.udf)};
    for (int i = 0; i < 4; i++) {
      vertices[i].handle = atomic_load(&all.vertex);
      calls[i] = (dcf_call)DCF_CALL_INIT;
      calls[i].udf = udf;
      calls[i].targets = &vertices[i];
      calls[i].target_count = 1;
      calls[i].buffer = &got[i];
      calls[i].buffer_size = sizeof got[i];
    }
    if (dcf_call_run(all.worker, calls, 4, NULL) != DCF_OK) break; /* the worker is closed */
    for (int i = 0; i < 4; i++) {
      if (calls[i].status == DCF_OK) {
        SAME(calls[i].result_size, 8);
        CHECK(got[i] > 0 && got[i] % VALUES == 0);
        atomic_fetch_add(&all.served, 1);
      } else { /* given back or dropped between the look at it and the call */
        CHECK(calls[i].status == DCF_BAD_HANDLE || calls[i].status == DCF_NOT_FOUND);
        atomic_fetch_add(&all.stale, 1);
      }
    }
  }
  return NULL;
}

static void replace_value(int64_t i) {
  dcf_error error;
  struct ArrowSchema schema;
  struct ArrowArray array;
  batch_of(i, &schema, &array);
  OK(dcf_vertex_set((dcf_vertex){atomic_load(&all.vertex)}, 0, &schema, &array, NULL, &error));
}

/* A new vertex; the old one is dropped and its handle given back, in either order. */
static void replace_vertex(int64_t i) {
  dcf_error error;
  dcf_vertex old = {atomic_load(&all.vertex)}, again;
  atomic_store(&all.vertex, put_value(i).handle);
  if (i % 2) {
    OK(dcf_vertex_drop(old, &error));
    OK(dcf_vertex_release(old, &error));
  } else {
    OK(dcf_vertex_open(all.worker, id_of(old), &again, &error));
    OK(dcf_vertex_release(old, &error));
    OK(dcf_vertex_drop(again, &error));
    OK(dcf_vertex_release(again, &error));
  }
}

/* A new function. Callers still use the old one when it is dropped; by a second handle on it, too,
 * half of the time. */
static void replace_function(int64_t i) {
  dcf_error error;
  char name[32];
  dcf_udf old = {atomic_load(&all.udf)}, again;
  snprintf(name, sizeof name, "times %" PRId64, i - 1);
  OK(dcf_udf_open(all.worker, text(name), &again, &error));
  const uint64_t fresh = register_factor(i).handle;
  atomic_store(&all.udf, i % 2 ? again.handle : fresh);
  OK(dcf_udf_drop(old, 0, &error));
  atomic_store(&all.udf, fresh);
  OK(dcf_udf_release(again, &error));
}

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 3000;
  dcf_error error;
  pthread_t callers[CALLERS];
  all.worker = open_worker();
  atomic_store(&all.vertex, put_value(1).handle);
  atomic_store(&all.udf, register_factor(1).handle);
  for (int i = 0; i < CALLERS; i++)
    SAME(pthread_create(&callers[i], NULL, call_all_the_time, NULL), 0);
  int64_t functions = 1;
  for (int64_t i = 2; i < rounds + 2; i++) {
    replace_value(i);
    if (i % 3 == 0) replace_vertex(i);
    if (i % 11 == 0) replace_function(++functions);
  }
  const int64_t counted = counter(all.worker, "calls.local");
  CHECK(counted > 0 && counted <= atomic_load(&all.served) + 4 * CALLERS);
  /* The worker closes under its callers: they end, and memory is spoiled. */
  OK(dcf_worker_close(all.worker, 0, &error));
  atomic_store(&all.stop, 1);
  for (int i = 0; i < CALLERS; i++) SAME(pthread_join(callers[i], NULL), 0);
  CHECK(atomic_load(&all.served) > 0 && atomic_load(&all.stale) > 0);
  printf("%ld calls served, %ld on handles that had gone\n", atomic_load(&all.served),
         atomic_load(&all.stale));
  OK(dcf_vertex_release((dcf_vertex){atomic_load(&all.vertex)}, &error));
  OK(dcf_udf_release((dcf_udf){atomic_load(&all.udf)}, &error));
  SAME(atomic_load(&batches_alive), 0);
  return 0;
}
