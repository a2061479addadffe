/* Queues: epoll, poll, cancel, close; functions that do not return until a latch opens. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "support.h"

#define CALLS 64

static dcf_status heeds(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)output;
  atomic_store((_Atomic int*)user_data, 1);
  while (!__atomic_load_n(input->cancelled, __ATOMIC_ACQUIRE)) sched_yield();
  return DCF_CANCELLED;
}

/* Waits for an event. The library's runtime sends signals to its threads, which this may still be.
 */
static int wait_for(int epoll, struct epoll_event* event) {
  int n;
  do n = epoll_wait(epoll, event, 1, 60000);
  while (n < 0 && errno == EINTR);
  return n;
}

/* Adds up what polls give until all calls of the queue came back. */
static int64_t poll_all(dcf_queue queue, size_t n) {
  dcf_error error;
  dcf_call* done[CALLS];
  int64_t total = 0;
  int32_t fd;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  OK(dcf_queue_fd(queue, &fd, &error));
  SAME(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
  while (n > 0) {
    size_t count;
    SAME(wait_for(epoll, &event), 1);
    OK(dcf_queue_poll(queue, done, CALLS, -1, &count, &error));
    for (size_t i = 0; i < count; i++) {
      SAME(done[i]->status, DCF_OK);
      SAME(done[i]->result_size, 8);
      SAME(done[i]->ticket, 0);
      total += *(int64_t*)done[i]->buffer;
    }
    n -= count;
  }
  close(epoll);
  return total;
}

static void many(dcf_worker worker, dcf_vertex vertex) {
  dcf_error error;
  dcf_queue queue;
  dcf_call calls[CALLS], *none;
  int64_t got[CALLS];
  size_t count;
  dcf_udf udf = register_udf(worker, "total", 0, sum, add, NULL);
  OK(dcf_queue_open(worker, &queue, &error));
  for (int i = 0; i < CALLS; i++) {
    calls[i] = (dcf_call)DCF_CALL_INIT;
    calls[i].udf = udf;
    calls[i].targets = &vertex;
    calls[i].target_count = 1;
    calls[i].buffer = &got[i];
    calls[i].buffer_size = sizeof got[i];
  }
  for (int round = 0; round < 5; round++) {
    OK(dcf_queue_submit(queue, calls, CALLS, &error));
    SAME(poll_all(queue, CALLS), CALLS * 3);
  }
  OK(dcf_queue_poll(queue, &none, 1, -1, &count, &error));
  SAME(count, 0);
  OK(dcf_queue_poll(queue, &none, 1, 1000000, &count, &error));
  SAME(count, 0);
  calls[5].udf.handle = 0;
  FAILS(dcf_queue_submit(queue, calls, CALLS, &error), DCF_BAD_HANDLE, "calls[5]: the UDF handle");
  OK(dcf_queue_submit(queue, calls, 0, &error));
  FAILS(dcf_queue_submit(queue, NULL, 1, &error), DCF_INVALID_ARGUMENT, "calls is NULL");
  FAILS(dcf_queue_cancel(queue, 12345, &error), DCF_NOT_FOUND, "12345");
  OK(dcf_queue_close(queue, &error));
  FAILS(dcf_queue_poll(queue, &none, 1, -1, &count, &error), DCF_BAD_HANDLE, "queue handle");
  OK(dcf_udf_drop(udf, 0, &error));
}

static dcf_call call_on(dcf_udf udf, const dcf_vertex* vertex, dcf_error* error) {
  dcf_call call = DCF_CALL_INIT;
  call.udf = udf;
  call.targets = vertex;
  call.target_count = 1;
  call.error = error;
  return call;
}

static void cancel(dcf_worker worker, dcf_vertex vertex) {
  dcf_error error, of_call;
  dcf_queue queue;
  dcf_call* done;
  size_t count;
  _Atomic int running = 0;
  dcf_udf udf = register_udf(worker, "heeds", 0, heeds, NULL, &running);
  dcf_call call = call_on(udf, &vertex, &of_call);
  OK(dcf_queue_open(worker, &queue, &error));
  OK(dcf_queue_submit(queue, &call, 1, &error));
  CHECK(call.ticket != 0);
  while (!atomic_load(&running)) sched_yield();
  OK(dcf_queue_cancel(queue, call.ticket, &error));
  OK(dcf_queue_poll(queue, &done, 1, 0, &count, &error));
  SAME(count, 1);
  CHECK(done == &call);
  SAME(call.status, DCF_CANCELLED);
  SAME(of_call.status, DCF_CANCELLED);

  /* Closing cancels, too, and leaves a call that was not polled as it was submitted. */
  atomic_store(&running, 0);
  OK(dcf_queue_submit(queue, &call, 1, &error));
  while (!atomic_load(&running)) sched_yield();
  call.status = 77;
  OK(dcf_queue_close(queue, &error));
  SAME(call.status, 77);
  OK(dcf_udf_drop(udf, 0, &error));
}

/* A function that does not heed its cancelling: the call ends in time without it. */
static void late(dcf_worker worker, dcf_vertex vertex) {
  dcf_error error, of_call;
  dcf_queue queue;
  dcf_call* done;
  size_t count;
  latch shut = LATCH_INIT;
  dcf_udf udf = register_udf(worker, "stuck", 0, stuck, NULL, &shut);
  dcf_udf other = register_udf(worker, "total", 0, sum, add, NULL);
  dcf_call call = call_on(udf, &vertex, &of_call);
  call.timeout_ns = 50000000;
  OK(dcf_queue_open(worker, &queue, &error));
  OK(dcf_queue_submit(queue, &call, 1, &error));
  latch_await(&shut, 1);
  OK(dcf_queue_poll(queue, &done, 1, 0, &count, &error));
  SAME(count, 1);
  SAME(call.status, DCF_TIMEOUT);
  printf("%s\n", of_call.message);
  FAILS(dcf_udf_drop(udf, 50000000, &error), DCF_TIMEOUT, "stuck");

  int64_t total; /* the worker goes on serving others */
  call = call_on(other, &vertex, &of_call);
  call.buffer = &total;
  call.buffer_size = sizeof total;
  OK(dcf_call_run(worker, &call, 1, &error));
  SAME(call.status, DCF_OK);
  SAME(total, 3);
  latch_open(&shut);
  latch_await(&shut, 0);
  OK(dcf_queue_close(queue, &error));
  OK(dcf_udf_drop(other, 0, &error));
  OK(dcf_udf_release(udf, &error));
}

/* A queue's calls on a function for its caller's thread run in poll. */
static dcf_status thread_of(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)input;
  *(pthread_t*)user_data = pthread_self();
  return output->api->bytes(output, text("here"));
}

static void caller_thread(dcf_worker worker, dcf_vertex vertex) {
  dcf_error error;
  dcf_queue queue;
  dcf_call* done;
  size_t count;
  pthread_t ran;
  char buffer[8];
  dcf_udf udf = register_udf(worker, "mine", DCF_UDF_CALLER_THREAD, thread_of, NULL, &ran);
  dcf_call call = call_on(udf, &vertex, NULL);
  call.buffer = buffer;
  call.buffer_size = sizeof buffer;
  OK(dcf_queue_open(worker, &queue, &error));
  OK(dcf_queue_submit(queue, &call, 1, &error));
  OK(dcf_queue_poll(queue, &done, 1, 0, &count, &error));
  SAME(count, 1);
  SAME(call.status, DCF_OK);
  CHECK(pthread_equal(ran, pthread_self()));
  OK(dcf_queue_close(queue, &error));
  OK(dcf_udf_drop(udf, 0, &error));
}

static int32_t say(void* user_data) { return atomic_load((_Atomic int32_t*)user_data); }

static void interrupt(dcf_worker worker) {
  dcf_error error;
  dcf_queue queue;
  dcf_call* done;
  size_t count;
  _Atomic int32_t answer = 1;
  OK(dcf_queue_open(worker, &queue, &error));
  dcf_set_interrupt(say, &answer);
  FAILS(dcf_queue_poll(queue, &done, 1, 0, &count, &error), DCF_INTERRUPTED, "interrupted");
  atomic_store(&answer, 0);
  OK(dcf_queue_poll(queue, &done, 1, 1000000, &count, &error));
  dcf_set_interrupt(NULL, NULL);
  OK(dcf_queue_close(queue, &error));
}

/* The worker closes although a function does not return, and says what is left behind. */
static void close_while_stuck(void) {
  static latch shut = LATCH_INIT;
  dcf_error error, of_call;
  dcf_queue queue;
  dcf_worker worker = open_worker();
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 3);
  dcf_udf udf = register_udf(worker, "stuck", 0, stuck, NULL, &shut);
  dcf_call call = call_on(udf, &vertex, &of_call);
  call.timeout_ns = 20000000;
  OK(dcf_queue_open(worker, &queue, &error));
  OK(dcf_queue_submit(queue, &call, 1, &error));
  latch_await(&shut, 1);
  dcf_call* done;
  size_t count;
  OK(dcf_queue_poll(queue, &done, 1, 0, &count, &error));
  SAME(call.status, DCF_TIMEOUT);
  FAILS(dcf_worker_close(worker, 50000000, &error), DCF_TIMEOUT, "left behind");
  OK(dcf_queue_close(queue, &error));
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_udf_release(udf, &error));
  latch_open(&shut);
  latch_await(&shut, 0);
}

int main(void) {
  dcf_error error;
  dcf_worker worker = open_worker();
  dcf_vertex vertex = put_numbers(worker, NULL, NULL, 3);
  many(worker, vertex);
  cancel(worker, vertex);
  late(worker, vertex);
  caller_thread(worker, vertex);
  interrupt(worker);
  OK(dcf_vertex_drop(vertex, &error));
  OK(dcf_vertex_release(vertex, &error));
  end(worker);
  close_while_stuck();
  return 0;
}
