/* Tables of 64 MiB between two processes of one host, beside what memory itself costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "fixture.h"
#include "functions.h"

static client g_client;

/* ---- Reading ------------------------------------------------------------- */

typedef struct table {
  struct ArrowSchema schema;
  struct ArrowArray array;
  const double* values;
} table;

static table fetch(const char* name) {
  const dcf_vertex vertex = client_vertex(&g_client, name);
  table t;
  dcf_error error;
  fixture_check(dcf_vertex_export(vertex, 0, &t.schema, &t.array, &error), &error,
                "dcf_vertex_export");
  fixture_check(dcf_vertex_release(vertex, &error), &error, "dcf_vertex_release");
  if (t.array.length != FIXTURE_TABLE_ROWS)
    measure_fail("the table has %lld rows", (long long)t.array.length);
  t.values = t.array.children[0]->buffers[1];
  return t;
}

static void give_back(table* t) {
  t->array.release(&t->array);
  t->schema.release(&t->schema);
}

static int64_t run_sum(void* context, int thread, size_t ops) {
  (void)thread;
  for (size_t i = 0; i < ops; i++)
    if (bench_sum(context, FIXTURE_TABLE_ROWS) != FIXTURE_TABLE_SUM)
      measure_fail("the sum of the table is wrong");
  return 0;
}

/* A table that counts its rows from `first`. */
static void fill(double* values, double first) {
  for (int64_t i = 0; i < FIXTURE_TABLE_ROWS; i++) values[i] = first + (double)i;
}

static double* private_table(void) {
  double* values = fixture_table();
  fill(values, 0);
  return values;
}

static int64_t time_sum(const double* values) {
  const int64_t begin = measure_now_ns();
  run_sum((void*)values, 0, 1);
  return measure_now_ns() - begin;
}

/* One process, one first time: dcfbench runs as many. */
static void case_sum_first(const fixture_options* o) {
  double* values = private_table();
  table t = fetch("table");
  const int64_t product = time_sum(t.values);
  time_sum(values);
  measure_once(o->name, "product", product);
  measure_once(o->name, "floor", time_sum(values));
  give_back(&t);
  free(values);
}

static void case_sum_again(const fixture_options* o) {
  double* values = private_table();
  table t = fetch("table");
  const measure_series series[] = {{"product", run_sum, (void*)t.values, 1, 1},
                                   {"floor", run_sum, values, 1, 1}};
  measure_case(o->name, series, 2, &(measure_options){.rounds = o->rounds});
  give_back(&t);
  free(values);
}

/* ---- Writing ------------------------------------------------------------- */

typedef struct upload {
  const void* values;
  void* copy; /* of the floor */
  uint64_t node;
} upload;

static int64_t run_put(void* context, int thread, size_t ops) {
  (void)thread;
  const upload* u = context;
  for (size_t i = 0; i < ops; i++) fixture_replace(g_client.worker, "put", u->node, u->values);
  return 0;
}

static int64_t run_copy(void* context, int thread, size_t ops) {
  (void)thread;
  const upload* u = context;
  for (size_t i = 0; i < ops; i++) {
    memcpy(u->copy, u->values, FIXTURE_TABLE_BYTES);
    __asm__ volatile("" : : "r"(u->copy) : "memory"); /* somebody may read the copy */
  }
  return 0;
}

/* The floor fills two tables in turn, too: one that is published lasts until its successor is, so
 * the processor's cache has to do for both. */
typedef struct building {
  uint64_t node;
  double first; /* of the last table */
  double* copies[2];
  int turn;
} building;

static int64_t run_build(void* context, int thread, size_t ops) {
  (void)thread;
  building* b = context;
  for (size_t i = 0; i < ops; i++) {
    struct ArrowSchema schema;
    struct ArrowArray unused;
    dcf_builder builder;
    dcf_column column = DCF_COLUMN_INIT;
    dcf_vertex vertex;
    dcf_error error;
    fixture_batch(&schema, &unused, "g", NULL, 0);
    unused.release(&unused);
    fixture_check(dcf_builder_open(g_client.worker, &schema, FIXTURE_TABLE_ROWS, &builder, &error),
                  &error, "dcf_builder_open");
    schema.release(&schema);
    fixture_check(dcf_builder_column(builder, 0, 0, &column, &error), &error, "dcf_builder_column");
    fill(column.values, ++b->first);
    dcf_put_options options = DCF_PUT_OPTIONS_INIT;
    options.name = fixture_bytes("put");
    options.node = b->node;
    options.flags = DCF_PUT_REPLACE;
    fixture_check(dcf_builder_commit(builder, &options, NULL, &vertex, &error), &error,
                  "dcf_builder_commit");
    fixture_check(dcf_vertex_release(vertex, &error), &error, "dcf_vertex_release");
  }
  return 0;
}

static int64_t run_fill(void* context, int thread, size_t ops) {
  (void)thread;
  building* b = context;
  for (size_t i = 0; i < ops; i++) {
    double* copy = b->copies[b->turn ^= 1];
    fill(copy, (double)i);
    __asm__ volatile("" : : "r"(copy) : "memory"); /* somebody may read it */
  }
  return 0;
}

/* What arrived is what was put: the table's first and last row, read back. */
static void check_put(double first) {
  table t = fetch("put");
  const int64_t last = FIXTURE_TABLE_ROWS - 1;
  if (t.values[0] != first || t.values[last] != first + (double)last)
    measure_fail("the server has another table than the one that was put");
  give_back(&t);
}

static void case_put(const fixture_options* o) {
  double* values = private_table();
  upload u = {values, fixture_table(), client_server_node(&g_client)};
  const measure_series series[] = {{"product", run_put, &u, 1, 1}, {"floor", run_copy, &u, 1, 1}};
  measure_case(o->name, series, 2, &(measure_options){.rounds = o->rounds});
  check_put(0);
  free(u.copy);
  free(values);
}

static void case_build(const fixture_options* o) {
  building b = {client_server_node(&g_client), 0, {fixture_table(), fixture_table()}, 0};
  const measure_series series[] = {{"product", run_build, &b, 1, 1}, {"floor", run_fill, &b, 1, 1}};
  measure_case(o->name, series, 2, &(measure_options){.rounds = o->rounds});
  check_put(b.first);
  free(b.copies[0]);
  free(b.copies[1]);
}

/* ---- The driver ---------------------------------------------------------- */

static const struct {
  const char* name;
  void (*run)(const fixture_options*);
} kCases[] = {
    {"shm/sum-64MiB", case_sum_first},
    {"shm/sum-64MiB-again", case_sum_again},
    {"shm/put-64MiB", case_put},
    {"shm/build-64MiB", case_build},
};

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  if (o.server == NULL) measure_fail("--server is needed: the address that the server printed");
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; i++) {
    if (strcmp(o.name, kCases[i].name) != 0) continue;
    client_open(&g_client, o.server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
    kCases[i].run(&o);
    client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
    client_close(&g_client);
    return 0;
  }
  measure_fail("there is no case %s here", o.name);
}
