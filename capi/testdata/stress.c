/* Threads that call, put, export, set, drop and open handles on one worker at the same time. */
#include "support.h"

#define THREADS 6
#define SHARED 8

static struct {
  dcf_worker worker;
  dcf_udf total, count;
  dcf_vertex shared[SHARED];
  long rounds;
  uint64_t seed;
} all;

/* A xorshift generator (Marsaglia, 2003). */
static uint64_t next(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static dcf_status count_updates(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  int64_t value = column(input->array, 0)[0] + 1;
  struct ArrowSchema schema;
  struct ArrowArray array;
  numbers(&value, 1, &schema, &array);
  dcf_status status = output->api->set_value(output, &schema, &array);
  return status == DCF_OK ? output->api->bytes(output, (dcf_bytes){&value, sizeof value}) : status;
}

static void call_some(uint64_t* random, dcf_udf udf, int batch) {
  dcf_error error, errors[16];
  dcf_call calls[16];
  int64_t got[16];
  for (int i = 0; i < batch; i++) {
    calls[i] = (dcf_call)DCF_CALL_INIT;
    calls[i].udf = udf;
    calls[i].targets = &all.shared[next(random) % SHARED];
    calls[i].target_count = 1;
    calls[i].buffer = &got[i];
    calls[i].buffer_size = sizeof got[i];
    calls[i].error = &errors[i];
  }
  OK(dcf_call_run(all.worker, calls, (size_t)batch, &error));
  for (int i = 0; i < batch; i++) {
    if (calls[i].status != DCF_OK) error = errors[i];
    OK(calls[i].status);
    SAME(calls[i].result_size, 8);
  }
}

static void put_and_drop(void) {
  dcf_error error;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex vertex = put_numbers(all.worker, NULL, NULL, 100), again;
  OK(dcf_vertex_open(all.worker, id_of(vertex), &again, &error));
  OK(dcf_vertex_export(again, 0, &schema, &array, &error));
  OK(dcf_vertex_drop(vertex, &error));
  SAME(column(&array, 0)[99], 99);
  release_both(&schema, &array);
  OK(dcf_vertex_release(vertex, &error));
  OK(dcf_vertex_release(again, &error));
  SAME(dcf_vertex_release(again, NULL), DCF_BAD_HANDLE);
}

static void use_queue(uint64_t* random) {
  dcf_error error;
  dcf_queue queue;
  dcf_call calls[4], *done[4];
  int64_t got[4];
  OK(dcf_queue_open(all.worker, &queue, &error));
  for (int i = 0; i < 4; i++) {
    calls[i] = (dcf_call)DCF_CALL_INIT;
    calls[i].udf = all.total;
    calls[i].targets = &all.shared[next(random) % SHARED];
    calls[i].target_count = 1;
    calls[i].buffer = &got[i];
    calls[i].buffer_size = sizeof got[i];
  }
  OK(dcf_queue_submit(queue, calls, 4, &error));
  for (size_t left = 4, count; left > 0; left -= count) {
    OK(dcf_queue_poll(queue, done, 4, 0, &count, &error));
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++) SAME(done[i]->status, DCF_OK);
  }
  OK(dcf_queue_close(queue, &error));
}

static void* work(void* thread) {
  uint64_t random = all.seed + (uint64_t)(uintptr_t)thread * 7919 + 1;
  for (long i = 0; i < all.rounds; i++) {
    switch (next(&random) % 8) {
      case 0:
        put_and_drop();
        break;
      case 1:
        use_queue(&random);
        break;
      case 2:
        call_some(&random, all.count, 1);
        break;
      case 3:
        call_some(&random, all.count, 8);
        break;
      case 4:
        call_some(&random, all.total, 16);
        break;
      default:
        call_some(&random, all.total, 1);
        break;
    }
  }
  return NULL;
}

int main(int argc, char** argv) {
  dcf_error error;
  pthread_t threads[THREADS];
  all.rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 2000;
  all.seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  printf("rounds %ld seed %" PRIu64 "\n", all.rounds, all.seed);
  all.worker = open_worker();
  all.total = register_udf(all.worker, "total", 0, sum, add, NULL);
  all.count = register_udf(all.worker, "count up", DCF_UDF_UPDATES, count_updates, NULL, NULL);
  for (int i = 0; i < SHARED; i++) all.shared[i] = put_numbers(all.worker, NULL, NULL, 1);
  for (uintptr_t i = 0; i < THREADS; i++)
    SAME(pthread_create(&threads[i], NULL, work, (void*)i), 0);
  for (int i = 0; i < THREADS; i++) SAME(pthread_join(threads[i], NULL), 0);
  OK(dcf_udf_drop(all.total, 0, &error));
  OK(dcf_udf_drop(all.count, 0, &error));
  for (int i = 0; i < SHARED; i++) {
    OK(dcf_vertex_drop(all.shared[i], &error));
    OK(dcf_vertex_release(all.shared[i], &error));
  }
  end(all.worker);
  return 0;
}
