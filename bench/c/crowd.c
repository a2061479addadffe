/* Many clients of one server, all workers of this process: what a call costs while most of them
 * are idle, beside a client that is another server's only one; and idle clients for whoever looks
 * at a server that has nothing to do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "fixture.h"

#define CROWD 1000
#define QUICK_CROWD 100 /* of a run that shows only that all works */
#define ACTIVE 32
#define IDLE 10
#define IDLE_NODE 1      /* the node id of the server of idle clients */
#define SETTLE_NS 300000 /* as in shm.c */

static client g_crowd[CROWD];
static int g_count; /* of clients in g_crowd */
static client g_alone;

static client* random_client(void) {
  static uint64_t state = 88172645463325252u; /* xorshift64, Marsaglia 2003 */
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return &g_crowd[state % ACTIVE * ((uint64_t)g_count / ACTIVE)];
}

static int64_t run_random(void* context, int thread, size_t ops) {
  (void)context;
  (void)thread;
  for (size_t i = 0; i < ops; i++) client_run(random_client(), 0, 1);
  return 0;
}

static void check_crowd(void) {
  for (int i = 0; i < g_count; i++) client_check(&g_crowd[i], CLIENT_OVER_SHARED_MEMORY);
}

static void close_crowd(void) {
  for (int i = 0; i < g_count; i++) client_close(&g_crowd[i]);
}

static void crowded(const fixture_options* o, measure_run_fn run) {
  if (o->alone == NULL) measure_fail("--alone is needed: the address of a server without a crowd");
  client_open(&g_alone, o->alone, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
  g_count = o->rounds < FIXTURE_QUICK_ROUNDS ? QUICK_CROWD : CROWD;
  for (int i = 0; i < g_count; i++)
    client_open(&g_crowd[i], o->server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
  const measure_series series[] = {{"product", run, &g_crowd[g_count / 2], 1, 1},
                                   {"floor", client_run, &g_alone, 1, 1}};
  measure_case(
      o->name, series, 2,
      &(measure_options){.rounds = o->rounds, .sample_ns = MEASURE_EACH, .settle_ns = SETTLE_NS});
  check_crowd();
  close_crowd();
  client_close(&g_alone);
}

/* The server is a dcfnode, which has no function of ours: a vertex is put there and counted. */
static void idle(const fixture_options* o) {
  static const int64_t values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (; g_count < IDLE; g_count++) {
    client* c = &g_crowd[g_count];
    dcf_udf count;
    dcf_error error;
    c->worker = fixture_open(NULL, o->server);
    if (g_count == 0) fixture_put(c->worker, "item", IDLE_NODE, "l", values, 8);
    fixture_check(dcf_udf_open(c->worker, fixture_bytes("count"), &count, &error), &error, "count");
    client_prepare(c, c->worker, count, client_vertex(c, "item"));
    c->call.arguments = fixture_bytes(NULL);
    client_check_how(c, CLIENT_OVER_SHARED_MEMORY);
  }
  printf("ready %d\n", IDLE);
  fflush(stdout);
  char ignored;
  while (read(STDIN_FILENO, &ignored, 1) > 0) {
  }
  for (int i = 0; i < IDLE; i++) client_check_how(&g_crowd[i], CLIENT_OVER_SHARED_MEMORY);
  close_crowd();
}

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  if (o.server == NULL) measure_fail("--server is needed: the address that the server printed");
  if (strcmp(o.name, "shm/1000-clients") == 0) {
    crowded(&o, client_run);
  } else if (strcmp(o.name, "shm/1000-clients-32") == 0) {
    crowded(&o, run_random);
  } else if (strcmp(o.name, "shm/idle") == 0) {
    idle(&o);
  } else {
    measure_fail("there is no case %s here", o.name);
  }
  return 0;
}
