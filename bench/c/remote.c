/* The cases of two processes over TCP: this one calls, the server runs. Each has as its floor the
 * same number of bytes, both ways, over a bare connection to the same process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "echo.h"
#include "fixture.h"
#include "wave.h"

#define CALLERS 64 /* threads of tcp/64-callers */
#define WEIGHINGS 4
#define WEIGHING_CALLS 50 /* whose bytes are counted at once, to make the floor equal frames */
#define WEIGHING_TABLES 1
#define CALLERS_BLOCK_NS 50000000 /* 5 ms would be four calls of each thread */

static client g_clients[CALLERS];
static echo_link g_links[CALLERS];
static wave g_wave;

/* ---- Operations ---------------------------------------------------------- */

static int64_t run_fetch(void* context, int thread, size_t ops) {
  (void)thread;
  for (size_t i = 0; i < ops; i++) {
    struct ArrowSchema schema;
    struct ArrowArray array;
    dcf_error error;
    fixture_check(dcf_vertex_export(*(const dcf_vertex*)context, 0, &schema, &array, &error),
                  &error, "dcf_vertex_export");
    const double* values = array.children[0]->buffers[1];
    const int64_t last = array.length - 1;
    if (values[last] != (double)last) measure_fail("the last row of the table is wrong");
    schema.release(&schema);
    array.release(&array);
  }
  return 0;
}

typedef struct upload {
  const void* values;
  uint64_t node;
} upload;

static int64_t run_put(void* context, int thread, size_t ops) {
  (void)thread;
  const upload* u = context;
  for (size_t i = 0; i < ops; i++) fixture_replace(g_clients->worker, "put", u->node, u->values);
  return 0;
}

static int64_t run_echo(void* context, int thread, size_t ops) {
  const echo_link* link = &((const echo_link*)context)[thread];
  for (size_t i = 0; i < ops; i++) echo_round_trip(link);
  return 0;
}

/* ---- Floors -------------------------------------------------------------- */

/* The bytes that an operation sends and receives. Something else, heartbeats say, may travel while
 * they are counted: the least of some countings has none of it. */
static void weigh(measure_run_fn run, void* context, size_t ops, size_t* request_out,
                  size_t* reply_out) {
  *request_out = *reply_out = SIZE_MAX;
  for (int i = 0; i < WEIGHINGS; i++) {
    const int64_t sent = fixture_counter(g_clients->worker, "bytes.sent");
    const int64_t received = fixture_counter(g_clients->worker, "bytes.received");
    run(context, 0, ops);
    const size_t request = (size_t)(fixture_counter(g_clients->worker, "bytes.sent") - sent) / ops;
    const size_t reply =
        (size_t)(fixture_counter(g_clients->worker, "bytes.received") - received) / ops;
    if (request < *request_out) *request_out = request;
    if (reply < *reply_out) *reply_out = reply;
  }
}

/* Connects `count` links whose round trips have as many bytes as operations have. */
static void open_links(const fixture_options* o, measure_run_fn run, void* context, size_t ops,
                       size_t count) {
  size_t request, reply;
  run(context, 0, 1); /* makes connections: no part of an operation */
  weigh(run, context, ops, &request, &reply);
  if (request == 0 || reply == 0)
    measure_fail("an operation of %s sends %zu bytes and receives %zu: it never left this process",
                 o->name, request, reply);
  fprintf(stderr, "%s: %zu bytes there, %zu back\n", o->name, request, reply);
  for (size_t i = 0; i < count; i++) g_links[i] = echo_connect(o->floor_port, request, reply);
}

static void compare(const fixture_options* o, measure_run_fn run, void* context, int threads,
                    size_t calls, int64_t block_ns) {
  const measure_series series[] = {{"product", run, context, threads, calls},
                                   {"floor", run_echo, g_links, threads, calls}};
  measure_case(o->name, series, 2, &(measure_options){.rounds = o->rounds, .block_ns = block_ns});
  for (int i = 0; i < threads; i++) echo_close(&g_links[i]);
}

/* ---- Cases --------------------------------------------------------------- */

/* The TCP cases are about TCP, whatever else two processes of one host have. */
static void join(const fixture_options* o) {
  client_open(g_clients, o->server, CLIENT_OVER_NETWORK, CLIENT_SPINS);
}

static void case_callers(const fixture_options* o, int threads, int64_t block_ns) {
  join(o);
  for (int i = 1; i < threads; i++) client_share(&g_clients[i], g_clients);
  open_links(o, client_run, g_clients, WEIGHING_CALLS, (size_t)threads);
  compare(o, client_run, g_clients, threads, 1, block_ns);
  for (int i = 0; i < threads; i++) fixture_check_result(g_clients[i].result, CLIENT_RESULT);
}

static void case_one(const fixture_options* o) { case_callers(o, 1, 0); }
static void case_many(const fixture_options* o) { case_callers(o, CALLERS, CALLERS_BLOCK_NS); }

static void case_wave(const fixture_options* o) {
  join(o);
  wave_open(&g_wave, g_clients);
  open_links(o, wave_submit, &g_wave, WEIGHING_CALLS, 1);
  compare(o, wave_submit, &g_wave, 1, WAVE_CALLS, 0);
  wave_close(&g_wave);
}

static void case_fetch(const fixture_options* o) {
  join(o);
  dcf_vertex table = client_vertex(g_clients, "table");
  open_links(o, run_fetch, &table, WEIGHING_TABLES, 1);
  if (g_links[0].reply < FIXTURE_TABLE_BYTES)
    measure_fail("a fetch moves %zu bytes: it was answered from a cache", g_links[0].reply);
  compare(o, run_fetch, &table, 1, 1, 0);
}

static void case_put(const fixture_options* o) {
  join(o);
  upload u = {fixture_table(), client_server_node(g_clients)};
  open_links(o, run_put, &u, WEIGHING_TABLES, 1);
  compare(o, run_put, &u, 1, 1, 0);
}

static void case_tree(const fixture_options* o) {
  char address[64];
  snprintf(address, sizeof address, "tcp://127.0.0.1:%d", echo_free_port());
  dcf_worker worker = fixture_open_with(address, o->server, CLIENT_SPINS, FIXTURE_SOCKETS);
  client_check_worker(worker, CLIENT_OVER_NETWORK);
  client_tree(g_clients, worker);
  open_links(o, client_run, g_clients, WEIGHING_CALLS, 1);
  compare(o, client_run, g_clients, 1, 1, 0);
  fixture_check_result(g_clients->result, FIXTURE_TREE_SUM);
}

/* ---- The driver ---------------------------------------------------------- */

static const struct {
  const char* name;
  void (*run)(const fixture_options*);
} kCases[] = {
    {"tcp/1-one-cpu", case_one},   {"tcp/1-two-cpus", case_one},    {"tcp/64", case_wave},
    {"tcp/64-callers", case_many}, {"tcp/fetch-64MiB", case_fetch}, {"tcp/put-64MiB", case_put},
    {"tree/graphsum", case_tree},
};

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  if (o.server == NULL || o.floor_port == 0)
    measure_fail("--server and --floor are needed: they are what the server printed");
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; i++) {
    if (strcmp(o.name, kCases[i].name) != 0) continue;
    kCases[i].run(&o);
    client_close(g_clients);
    return 0;
  }
  measure_fail("there is no case %s here", o.name);
}
