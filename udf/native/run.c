#define _POSIX_C_SOURCE 199309L

#include <stdatomic.h>
#include <time.h>

#include "native.h"

_Atomic uint32_t dcf_native_updates_running;

/* How deep this thread is in callbacks: a callback may call the library again. The model is the one
 * that costs a plain load; Go's own thread state makes the library need it anyway. */
#define THREAD_STATE static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_STATE uint32_t callbacks;
THREAD_STATE uint32_t updates;

int dcf_native_in_callback(void) { return callbacks != 0; }
int dcf_native_in_update(void) { return updates != 0; }

static void enter_update(void) {
  updates++;
  atomic_fetch_add_explicit(&dcf_native_updates_running, 1, memory_order_relaxed);
}

static void leave_update(void) {
  atomic_fetch_sub_explicit(&dcf_native_updates_running, 1, memory_order_relaxed);
  updates--;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Why the i-th calculate of a wave must not start, or DCF_OK. Reading the clock costs more than a
 * short calculate, so it is read before the 2nd, 3rd, 5th, 9th, ... only: a wave runs over its
 * deadline by no more than the time that it took until then. */
static dcf_status stopped(const dcf_udf_input* input, size_t i) {
  if (__atomic_load_n(input->cancelled, __ATOMIC_RELAXED)) return DCF_CANCELLED;
  if (i == 0 || (i & (i - 1)) != 0 || input->deadline_ns == 0) return DCF_OK;
  return now_ns() > input->deadline_ns ? DCF_TIMEOUT : DCF_OK;
}

void dcf_native_calculate(dcf_calculate_fn calculate, uintptr_t user_data, uintptr_t inputs,
                          uintptr_t outputs, size_t count, uint32_t is_update) {
  const dcf_udf_input* input = (const dcf_udf_input*)inputs;
  dcf_native_output* output = (dcf_native_output*)outputs;
  dcf_status stop = DCF_OK;
  callbacks++;
  if (is_update) enter_update();
  for (size_t i = 0; i < count; i++) {
    if (stop != DCF_TIMEOUT) stop = stopped(&input[i], i);
    output[i].status =
        stop != DCF_OK ? stop : calculate((void*)user_data, &input[i], &output[i].base);
  }
  if (is_update) leave_update();
  callbacks--;
}

void dcf_native_once(const dcf_native_program* program, const dcf_udf_input* input,
                     dcf_native_output* output) {
  output->base.api = &dcf_native_api;
  output->part_size = 0;
  output->block = NULL;
  output->block_size = 0;
  output->rare = NULL;
  output->part_kind = DCF_NATIVE_PART_NONE;
  output->is_fold = 0;
  output->wants_log = 1; /* whoever takes the output knows whether anybody listens */
  output->has_child = 0;
  callbacks++;
  output->status = program->calculate(program->user_data, input, &output->base);
  callbacks--;
}

void dcf_native_fold(dcf_merge_fn fold, uintptr_t user_data, uintptr_t input, uintptr_t output) {
  dcf_native_output* out = (dcf_native_output*)output;
  callbacks++;
  out->status = fold((void*)user_data, (const dcf_merge_input*)input, &out->base);
  callbacks--;
}

void dcf_native_call_free(uintptr_t user_data_free, uintptr_t user_data) {
  ((void (*)(void*))user_data_free)((void*)user_data);
}
