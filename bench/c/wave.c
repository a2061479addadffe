#include "wave.h"

#include "fixture.h"

#define TIMEOUT_NS 30000000000 /* of a poll: far beyond what any call takes */

void wave_open(wave* w, const client* c) {
  dcf_error error;
  w->worker = c->worker;
  fixture_check(dcf_queue_open(w->worker, &w->queue, &error), &error, "dcf_queue_open");
  for (size_t i = 0; i < WAVE_CALLS; i++) {
    w->calls[i] = c->call;
    w->calls[i].buffer = &w->results[i];
  }
}

static void check_calls(const wave* w) {
  for (size_t i = 0; i < WAVE_CALLS; i++)
    if (w->calls[i].status != DCF_OK)
      measure_fail("call %zu of a wave failed: %s", i, dcf_status_name(w->calls[i].status));
}

int64_t wave_submit(void* context, int thread, size_t ops) {
  (void)thread;
  wave* w = context;
  dcf_error error;
  for (size_t i = 0; i < ops; i++) {
    fixture_check(dcf_queue_submit(w->queue, w->calls, WAVE_CALLS, &error), &error,
                  "dcf_queue_submit");
    for (size_t back = 0, count; back < WAVE_CALLS; back += count)
      fixture_check(dcf_queue_poll(w->queue, w->done, WAVE_CALLS, TIMEOUT_NS, &count, &error),
                    &error, "dcf_queue_poll");
    check_calls(w);
  }
  return 0;
}

int64_t wave_run(void* context, int thread, size_t ops) {
  (void)thread;
  wave* w = context;
  dcf_error error;
  for (size_t i = 0; i < ops; i++) {
    fixture_check(dcf_call_run(w->worker, w->calls, WAVE_CALLS, &error), &error, "dcf_call_run");
    check_calls(w);
  }
  return 0;
}

void wave_close(wave* w) {
  dcf_error error;
  for (size_t i = 0; i < WAVE_CALLS; i++) fixture_check_result(w->results[i], CLIENT_RESULT);
  fixture_check(dcf_queue_close(w->queue, &error), &error, "dcf_queue_close");
}
