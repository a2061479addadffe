/* Many calls of a client under way at once. */
#ifndef DCF_BENCH_WAVE_H
#define DCF_BENCH_WAVE_H

#include "client.h"

#define WAVE_CALLS 64

typedef struct wave {
  dcf_worker worker;
  dcf_queue queue;
  int64_t results[WAVE_CALLS];
  dcf_call calls[WAVE_CALLS];
  dcf_call* done[WAVE_CALLS];
} wave;

/* Prepares WAVE_CALLS times the client's call. The client must be closed after the wave. */
void wave_open(wave* w, const client* c);

/* `ops` times: one dcf_queue_submit of all, and polls until all are back. A measure_run_fn whose
 * context is a wave, and so the next. */
int64_t wave_submit(void* context, int thread, size_t ops);

/* `ops` times: one dcf_call_run of all. */
int64_t wave_run(void* context, int thread, size_t ops);

/* Checks the results. */
void wave_close(wave* w);

#endif /* DCF_BENCH_WAVE_H */
