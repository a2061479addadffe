/* The calls of two processes of one host: this one calls, the server runs. The floor is the bare
 * ring between the same two processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client.h"
#include "echo.h"
#include "fixture.h"
#include "ring.h"
#include "wave.h"

#define BUSY_PROCESSES 2

/* Whoever polled in the block before has gone to sleep by then. */
#define SETTLE_NS 300000

/* Of the cases beside busy processes. */
#define WINDOW_NS 1000000000
#define WINDOW_SHARE 10 /* there are so many times fewer of them than rounds of other cases */
#define QUICK_WINDOW_NS 100000000
#define WINDOW_SAMPLE_NS 1000000

static client g_client;
static wave g_wave;

/* ---- Operations ---------------------------------------------------------- */

static void check_ring(int answered) {
  if (!answered) measure_fail("the server's bare ring does not answer, or wrongly");
}

static int64_t run_ring(void* context, int thread, size_t ops) {
  (void)thread;
  check_ring(ring_run(context, ops, 1));
  return 0;
}

static int64_t run_ring_wave(void* context, int thread, size_t ops) {
  (void)thread;
  check_ring(ring_run(context, ops * WAVE_CALLS, WAVE_CALLS));
  return 0;
}

/* ---- Cases --------------------------------------------------------------- */

static ring_link* open_ring(const fixture_options* o, int waiting) {
  ring_link* link = ring_open(o->ring, waiting);
  if (link == NULL) measure_fail("cannot open the server's ring %s: %s", o->ring, strerror(errno));
  return link;
}

static void compare(const fixture_options* o, const measure_series* product, measure_run_fn floor,
                    int waiting, const measure_options* options) {
  ring_link* link = open_ring(o, waiting);
  const measure_series series[] = {*product,
                                   {"floor", floor, link, product->threads, product->calls}};
  measure_case(o->name, series, 2, options);
  ring_close(link);
}

static const measure_series kCall = {"product", client_run, &g_client, 1, 1};

/* Every call is a sample: the tails are those of calls, and both sides read the same clock. */
static measure_options each_call(const fixture_options* o) {
  return (measure_options){.rounds = o->rounds, .sample_ns = MEASURE_EACH, .settle_ns = SETTLE_NS};
}

static void case_one(const fixture_options* o) {
  client_open(&g_client, o->server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
  const measure_options options = each_call(o);
  compare(o, &kCall, run_ring, RING_SPINS, &options);
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
}

static void case_wave(const fixture_options* o, measure_run_fn run) {
  client_open(&g_client, o->server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
  wave_open(&g_wave, &g_client);
  const measure_series product = {"product", run, &g_wave, 1, WAVE_CALLS};
  compare(o, &product, run_ring_wave, RING_SPINS,
          &(measure_options){.rounds = o->rounds, .settle_ns = SETTLE_NS});
  wave_close(&g_wave);
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
}

static void case_submit(const fixture_options* o) { case_wave(o, wave_submit); }
static void case_run(const fixture_options* o) { case_wave(o, wave_run); }

/* The server does not spin, either. */
static void case_asleep(const fixture_options* o) {
  client_open(&g_client, o->server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SLEEPS);
  const measure_options options = each_call(o);
  compare(o, &kCall, run_ring, RING_SLEEPS, &options);
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
}

static void case_tree(const fixture_options* o) {
  char address[64];
  snprintf(address, sizeof address, "tcp://127.0.0.1:%d", echo_free_port());
  dcf_worker worker = fixture_open(address, o->server);
  client_check_worker(worker, CLIENT_OVER_SHARED_MEMORY);
  client_tree(&g_client, worker);
  const measure_options options = each_call(o);
  compare(o, &kCall, run_ring, RING_SPINS, &options);
  fixture_check_result(g_client.result, FIXTURE_TREE_SUM);
}

/* ---- Beside busy processes ------------------------------------------------ */

/* They end with this process. */
static void start_busy_processes(void) {
  for (int i = 0; i < BUSY_PROCESSES; i++) {
    const pid_t parent = getpid(), child = fork();
    if (child < 0) measure_fail("cannot start a busy process: %s", strerror(errno));
    if (child > 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
    }
    _exit(0);
  }
}

static int64_t window_ns(const fixture_options* o) {
  return o->rounds < FIXTURE_QUICK_ROUNDS ? QUICK_WINDOW_NS : WINDOW_NS;
}

static int windows(const fixture_options* o) {
  return o->rounds < FIXTURE_QUICK_ROUNDS ? o->rounds : o->rounds / WINDOW_SHARE + 1;
}

static void case_oversubscribed(const fixture_options* o) {
  start_busy_processes();
  client_open(&g_client, o->server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
  compare(o, &kCall, run_ring, RING_ADAPTS,
          &(measure_options){.rounds = windows(o),
                             .block_ns = window_ns(o),
                             .sample_ns = WINDOW_SAMPLE_NS,
                             .settle_ns = SETTLE_NS});
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
}

/* The longest of the calls of as many windows. */
static void case_longest(const fixture_options* o) {
  start_busy_processes();
  client_open(&g_client, o->server, CLIENT_OVER_SHARED_MEMORY, CLIENT_SPINS);
  int64_t last = measure_now_ns(), longest = 0;
  for (const int64_t end = last + window_ns(o) * windows(o); last < end;) {
    client_run(&g_client, 0, 1);
    const int64_t now = measure_now_ns();
    if (now - last > longest) longest = now - last;
    last = now;
  }
  client_check(&g_client, CLIENT_OVER_SHARED_MEMORY);
  measure_value(o->name, (double)longest / 1e6, "ms");
}

/* ---- The driver ---------------------------------------------------------- */

static const struct {
  const char* name;
  void (*run)(const fixture_options*);
} kCases[] = {
    {"shm/c", case_one},
    {"shm/c-p99", case_one},
    {"shm/c-p99.9", case_one},
    {"shm/c-to-c", case_one},
    {"shm/64-go", case_run},
    {"shm/64-c", case_run},
    {"shm/64-submit-go", case_submit},
    {"shm/64-submit-c", case_submit},
    {"shm/asleep-one-cpu", case_asleep},
    {"shm/asleep-two-cpus", case_asleep},
    {"shm/oversubscribed", case_oversubscribed},
    {"shm/oversubscribed-longest", case_longest},
    {"tree/graphsum-shm", case_tree},
};

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  if (o.server == NULL || o.ring == NULL)
    measure_fail("--server and --ring are needed: they are what the server printed");
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; i++) {
    if (strcmp(o.name, kCases[i].name) != 0) continue;
    kCases[i].run(&o);
    client_close(&g_client);
    return 0;
  }
  measure_fail("there is no case %s here", o.name);
}
