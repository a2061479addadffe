#include "thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "floors.h"

struct floor_thread {
  pthread_t thread;
  pthread_barrier_t start, end;
  int stop;
  int64_t block_ns;
  size_t batch;
  float* samples;
  size_t capacity;
  size_t count;
  int64_t elapsed_ns;
  uint64_t sink; /* what the calls gave: they cannot be left out */
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void* work(void* argument) {
  floor_thread* t = argument;
  for (;;) {
    pthread_barrier_wait(&t->start);
    if (t->stop) return NULL;
    const int64_t begin = now_ns();
    int64_t last = begin;
    t->count = 0;
    while (last < begin + t->block_ns && t->count < t->capacity) {
      for (size_t i = 0; i < t->batch; i++) t->sink += bench_floor_empty(i);
      const int64_t now = now_ns();
      t->samples[t->count++] = (float)((double)(now - last) / (double)t->batch);
      last = now;
    }
    t->elapsed_ns = last - begin;
    pthread_barrier_wait(&t->end);
  }
}

floor_thread* floor_thread_open(void) {
  floor_thread* t = calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  pthread_barrier_init(&t->start, NULL, 2);
  pthread_barrier_init(&t->end, NULL, 2);
  if (pthread_create(&t->thread, NULL, work, t) == 0) return t;
  pthread_barrier_destroy(&t->start);
  pthread_barrier_destroy(&t->end);
  free(t);
  return NULL;
}

size_t floor_thread_block(floor_thread* t, int64_t block_ns, size_t batch, float* samples,
                          size_t capacity, int64_t* elapsed_ns_out) {
  t->block_ns = block_ns;
  t->batch = batch;
  t->samples = samples;
  t->capacity = capacity;
  pthread_barrier_wait(&t->start);
  pthread_barrier_wait(&t->end);
  t->samples = NULL; /* the caller's memory: not to be kept */
  *elapsed_ns_out = t->elapsed_ns;
  return t->count;
}

void floor_thread_close(floor_thread* t) {
  t->stop = 1;
  pthread_barrier_wait(&t->start);
  pthread_join(t->thread, NULL);
  pthread_barrier_destroy(&t->start);
  pthread_barrier_destroy(&t->end);
  free(t);
}
