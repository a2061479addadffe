/* What calls leave behind in memory. A program of its own: the floors' library would bring a second
 * runtime whose memory also moves. */
#include <stdint.h>
#include <string.h>

#include "fixture.h"

#define LOCAL_CALLS 1000000
#define REMOTE_CALLS 200000
#define WARM_SHARE                                                              \
  10 /* a tenth as many calls come first: pools and stacks then have their size \
      */

static const int64_t g_arguments[2] = {5, 0};
static const int64_t g_values[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void run(dcf_worker worker, dcf_call* call, int count) {
  for (int i = 0; i < count; i++) {
    dcf_status s = dcf_call_run(worker, call, 1, NULL);
    if (s != DCF_OK || call->status != DCF_OK)
      measure_fail("call %d failed: %s, %s", i, dcf_status_name(s), dcf_status_name(call->status));
  }
}

static double resident(const fixture_options* o) {
  return fixture_resident_kib(0) + (o->server_pid ? fixture_resident_kib(o->server_pid) : 0);
}

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  const int remote = strcmp(o.name, "memory/calls-tcp") == 0;
  const int calls = remote ? REMOTE_CALLS : LOCAL_CALLS;
  if (!remote && strcmp(o.name, "memory/calls") != 0)
    measure_fail("there is no case %s here", o.name);
  const dcf_worker_options defaults = DCF_WORKER_OPTIONS_INIT;
  dcf_worker worker =
      fixture_open_with(NULL, remote ? o.server : NULL, defaults.spin_ns, FIXTURE_SOCKETS);
  dcf_udf udf = fixture_register(worker, "bench.add", NULL, FIXTURE_VERSION);
  dcf_vertex vertex;
  dcf_error error;
  if (remote) {
    fixture_check(dcf_vertex_open_name(worker, fixture_bytes("item"), &vertex, &error), &error,
                  "dcf_vertex_open_name");
  } else {
    vertex = fixture_put(worker, NULL, 0, "l", g_values, 8);
  }
  int64_t result;
  dcf_call call = fixture_call(udf, &vertex, g_arguments, &result);
  run(worker, &call, calls / WARM_SHARE);
  const double before = resident(&o);
  run(worker, &call, calls);
  measure_value(o.name, resident(&o) - before, "KiB");
  fixture_check(dcf_worker_close(worker, 0, &error), &error, "dcf_worker_close");
  return 0;
}
