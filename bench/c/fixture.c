#define _GNU_SOURCE
#include "fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"

/* The children of each vertex of the tree; 0 ends a list, since nobody's child is the root. */
static const uint8_t kChildren[FIXTURE_TREE_COUNT][4] = {
    [0] = {1, 2}, [1] = {3, 4}, [2] = {5, 6}, [4] = {7, 8, 9}, [8] = {10, 11}, [9] = {12, 13},
};

static int64_t g_tree_values[FIXTURE_TREE_COUNT];

fixture_options fixture_parse(int argc, char** argv) {
  fixture_options o = {.name = "", .rounds = 1, .seconds = 1};
  for (int i = 1; i < argc; i++) {
    if (i + 1 == argc) measure_fail("the option %s has no value", argv[i]);
    const char* value = argv[i + 1];
    if (strcmp(argv[i], "--case") == 0) {
      o.name = value;
    } else if (strcmp(argv[i], "--rounds") == 0) {
      o.rounds = atoi(value);
    } else if (strcmp(argv[i], "--server") == 0) {
      o.server = value;
    } else if (strcmp(argv[i], "--alone") == 0) {
      o.alone = value;
    } else if (strcmp(argv[i], "--ring") == 0) {
      o.ring = value;
    } else if (strcmp(argv[i], "--floor") == 0) {
      o.floor_port = atoi(value);
    } else if (strcmp(argv[i], "--pid") == 0) {
      o.server_pid = atoi(value);
    } else if (strcmp(argv[i], "--seconds") == 0) {
      o.seconds = atof(value);
    } else {
      measure_fail(
          "unknown option %s: use --case, --rounds, --server, --alone, --floor, --ring, --pid, "
          "--seconds",
          argv[i]);
    }
    i++;
  }
  if (o.rounds < 1) measure_fail("--rounds is %d: at least 1 is needed", o.rounds);
  return o;
}

void fixture_check(dcf_status status, const dcf_error* error, const char* what) {
  if (status != DCF_OK)
    measure_fail("%s: %s: %s", what, dcf_status_name(status), error ? error->message : "");
}

dcf_bytes fixture_bytes(const char* text) {
  return (dcf_bytes){text, text == NULL ? 0 : strlen(text)};
}

dcf_worker fixture_open(const char* listen, const char* join) {
  const dcf_worker_options defaults = DCF_WORKER_OPTIONS_INIT;
  return fixture_open_with(listen, join, defaults.spin_ns, NULL);
}

dcf_worker fixture_open_with(const char* listen, const char* join, int64_t spin_ns,
                             const char* config) {
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  options.spin_ns = spin_ns;
  options.config = fixture_bytes(config);
  options.listen = fixture_bytes(listen);
  options.join = fixture_bytes(join);
  dcf_worker worker;
  dcf_error error;
  fixture_check(dcf_worker_open(&options, &worker, &error), &error, "dcf_worker_open");
  return worker;
}

/* ---- Tables -------------------------------------------------------------- */

typedef struct table_schema {
  struct ArrowSchema column;
  struct ArrowSchema* children[1];
} table_schema;

typedef struct table_array {
  struct ArrowArray column;
  struct ArrowArray* children[1];
  const void* buffers[1];
  const void* column_buffers[2];
} table_array;

static void keep_schema(struct ArrowSchema* schema) { schema->release = NULL; }
static void keep_array(struct ArrowArray* array) { array->release = NULL; }

static void free_schema(struct ArrowSchema* schema) {
  table_schema* t = schema->private_data;
  if (t->column.release != NULL) t->column.release(&t->column);
  free(t);
  schema->release = NULL;
}

static void free_array(struct ArrowArray* array) {
  table_array* t = array->private_data;
  if (t->column.release != NULL) t->column.release(&t->column);
  free(t);
  array->release = NULL;
}

void fixture_batch(struct ArrowSchema* schema, struct ArrowArray* array, const char* format,
                   const void* values, int64_t rows) {
  table_schema* s = calloc(1, sizeof *s);
  table_array* a = calloc(1, sizeof *a);
  if (s == NULL || a == NULL) measure_fail("out of memory for a table");
  s->column = (struct ArrowSchema){.format = format, .name = "value", .release = keep_schema};
  s->children[0] = &s->column;
  *schema = (struct ArrowSchema){.format = "+s",
                                 .name = "",
                                 .n_children = 1,
                                 .children = s->children,
                                 .release = free_schema,
                                 .private_data = s};
  a->column_buffers[1] = values;
  a->column = (struct ArrowArray){
      .length = rows, .n_buffers = 2, .buffers = a->column_buffers, .release = keep_array};
  a->children[0] = &a->column;
  *array = (struct ArrowArray){.length = rows,
                               .n_buffers = 1,
                               .n_children = 1,
                               .buffers = a->buffers,
                               .children = a->children,
                               .release = free_array,
                               .private_data = a};
}

dcf_vertex fixture_put(dcf_worker worker, const char* name, uint64_t node, const char* format,
                       const void* values, int64_t rows) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  fixture_batch(&schema, &array, format, values, rows);
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.name = fixture_bytes(name);
  options.node = node;
  dcf_vertex vertex;
  dcf_error error;
  fixture_check(dcf_vertex_put(worker, &options, &schema, &array, &vertex, &error), &error,
                "dcf_vertex_put");
  return vertex;
}

void* fixture_table(void) {
  void* values = aligned_alloc(64, FIXTURE_TABLE_BYTES);
  if (values == NULL) measure_fail("out of memory for a table of %d bytes", FIXTURE_TABLE_BYTES);
  memset(values, 1, FIXTURE_TABLE_BYTES);
  return values;
}

void fixture_replace(dcf_worker worker, const char* name, uint64_t node, const void* values) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex vertex;
  dcf_error error;
  fixture_batch(&schema, &array, "g", values, FIXTURE_TABLE_ROWS);
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.name = fixture_bytes(name);
  options.node = node;
  options.flags = DCF_PUT_REPLACE;
  fixture_check(dcf_vertex_put(worker, &options, &schema, &array, &vertex, &error), &error,
                "dcf_vertex_put");
  fixture_check(dcf_vertex_release(vertex, &error), &error, "dcf_vertex_release");
}

void fixture_tree(dcf_worker worker, int from, int to) {
  dcf_error error;
  for (int i = from; i < to; i++) {
    char name[8];
    snprintf(name, sizeof name, "%d", i);
    g_tree_values[i] = i < FIXTURE_TREE_FIRST ? i + 1 : (i - FIXTURE_TREE_FIRST + 1) * 100;
    dcf_vertex v = fixture_put(worker, name, 0, "l", &g_tree_values[i], 1);
    fixture_check(dcf_vertex_release(v, &error), &error, "dcf_vertex_release");
  }
  for (int i = from; i < to; i++) {
    char name[8];
    snprintf(name, sizeof name, "%d", i);
    dcf_vertex parent, child;
    fixture_check(dcf_vertex_open_name(worker, fixture_bytes(name), &parent, &error), &error, name);
    for (const uint8_t* c = kChildren[i]; *c != 0; c++) {
      dcf_vertex_info info = DCF_VERTEX_INFO_INIT;
      snprintf(name, sizeof name, "%d", *c);
      fixture_check(dcf_vertex_open_name(worker, fixture_bytes(name), &child, &error), &error,
                    name);
      fixture_check(dcf_vertex_info_get(child, &info, &error), &error, "dcf_vertex_info_get");
      fixture_check(dcf_vertex_link(parent, info.id, &error), &error, "dcf_vertex_link");
      fixture_check(dcf_vertex_release(child, &error), &error, "dcf_vertex_release");
    }
    fixture_check(dcf_vertex_release(parent, &error), &error, "dcf_vertex_release");
  }
}

/* ---- Calls --------------------------------------------------------------- */

dcf_udf fixture_register(dcf_worker worker, const char* function, const char* name,
                         const char* version) {
  const bench_function* f = bench_function_named(function);
  if (f == NULL) measure_fail("there is no function %s", function);
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = fixture_bytes(name ? name : function);
  definition.version = fixture_bytes(version);
  definition.flags = BENCH_FUNCTION_FLAGS;
  definition.calculate = f->calculate;
  definition.merge = f->merge;
  dcf_udf udf;
  dcf_error error;
  fixture_check(dcf_udf_register(worker, &definition, &udf, &error), &error, "dcf_udf_register");
  return udf;
}

dcf_call fixture_call(dcf_udf udf, const dcf_vertex* target, const void* arguments,
                      int64_t* result) {
  dcf_call call = DCF_CALL_INIT;
  call.udf = udf;
  call.targets = target;
  call.target_count = 1;
  call.arguments = (dcf_bytes){arguments, FIXTURE_ARGUMENT_BYTES};
  call.buffer = result;
  call.buffer_size = FIXTURE_RESULT_BYTES;
  return call;
}

void fixture_run(dcf_worker worker, dcf_call* calls, size_t count) {
  dcf_error error, call_error;
  for (size_t i = 0; i < count; i++) calls[i].error = &call_error;
  fixture_check(dcf_call_run(worker, calls, count, &error), &error, "dcf_call_run");
  for (size_t i = 0; i < count; i++) {
    fixture_check(calls[i].status, &call_error, "a call");
    calls[i].error = NULL;
  }
}

void fixture_check_result(int64_t result, int64_t want) {
  if (result != want)
    measure_fail("a call gave %lld instead of %lld", (long long)result, (long long)want);
}

/* ---- Counters ------------------------------------------------------------ */

static const struct ArrowArray* column(const struct ArrowSchema* schema,
                                       const struct ArrowArray* array, const char* name,
                                       const char* format) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    const struct ArrowSchema* s = schema->children[i];
    if (strcmp(s->name, name) == 0 && strcmp(s->format, format) == 0) return array->children[i];
  }
  measure_fail("dcf_worker_stats has no column %s of format %s", name, format);
}

static int64_t sum_counter(const struct ArrowSchema* schema, const struct ArrowArray* batch,
                           const char* name, int* found) {
  const struct ArrowArray* names = column(schema, batch, "name", "u");
  const struct ArrowArray* values = column(schema, batch, "value", "l");
  const int32_t* offsets = (const int32_t*)names->buffers[1] + names->offset;
  const int64_t* numbers = (const int64_t*)values->buffers[1] + values->offset;
  const char* text = names->buffers[2];
  int64_t total = 0;
  for (int64_t i = 0; i < batch->length; i++) {
    const size_t size = (size_t)(offsets[i + 1] - offsets[i]);
    if (size != strlen(name) || memcmp(text + offsets[i], name, size) != 0) continue;
    *found = 1;
    total += numbers[i];
  }
  return total;
}

int64_t fixture_counter(dcf_worker worker, const char* name) {
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  dcf_error error;
  fixture_check(dcf_worker_stats(worker, &stream, &error), &error, "dcf_worker_stats");
  if (stream.get_schema(&stream, &schema) != 0) measure_fail("dcf_worker_stats gives no schema");
  int64_t total = 0;
  int found = 0;
  for (;;) {
    struct ArrowArray batch;
    if (stream.get_next(&stream, &batch) != 0) measure_fail("dcf_worker_stats gives no batch");
    if (batch.release == NULL) break;
    total += sum_counter(&schema, &batch, name, &found);
    batch.release(&batch);
  }
  schema.release(&schema);
  stream.release(&stream);
  if (!found) measure_fail("dcf_worker_stats has no counter named %s", name);
  return total;
}

double fixture_resident_kib(int pid) {
  char path[64] = "/proc/self/smaps_rollup";
  if (pid != 0) snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE* file = fopen(path, "r");
  if (file == NULL) measure_fail("cannot open %s: %s", path, strerror(errno));
  char line[256];
  long kib = -1;
  while (kib < 0 && fgets(line, sizeof line, file) != NULL) sscanf(line, "Rss: %ld kB", &kib);
  fclose(file);
  if (kib < 0) measure_fail("%s has no line Rss", path);
  return (double)kib;
}
