#define _GNU_SOURCE
#include "measure.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The most threads that wait for each other by spinning: more than there are processors would
 * keep each other from arriving. */
#define SPIN_THREADS 2

#define CALIBRATIONS 3

typedef struct block {
  size_t ops;
  int64_t elapsed_ns;
  size_t sample_count;
  float* samples; /* nanoseconds a call */
} block;

typedef struct crew crew;

typedef struct member {
  crew* crew;
  int index;
  pthread_t thread;
  float* samples;
  size_t sample_count;
  size_t ops;
  int64_t begin_ns, end_ns;
  int64_t counted_ns; /* as reported by run; 0: the clock's */
} member;

/* A series with its threads. They sleep at `start` between blocks. */
struct crew {
  const measure_series* series;
  const measure_options* options;
  size_t batch; /* operations timed as one sample */
  int64_t block_ns;
  member* members;
  pthread_barrier_t start, end;
  atomic_int arrived;
  int stop;
  block* blocks;
  size_t block_count;
};

int64_t measure_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void measure_fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", program_invocation_short_name);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static void* allocate(size_t count, size_t size) {
  void* memory = calloc(count, size);
  if (memory == NULL) measure_fail("out of memory for %zu items of %zu bytes", count, size);
  return memory;
}

static double time_each(const measure_series* series, size_t ops, int64_t* wall_out) {
  int64_t begin = measure_now_ns();
  int64_t counted = series->run(series->context, 0, ops);
  *wall_out = measure_now_ns() - begin;
  return (double)(counted ? counted : *wall_out) / (double)ops;
}

/* Doubles the number of operations until they take long enough to be believed, and then believes
 * the fastest of some runs: whatever else the machine does only makes one slower. */
static size_t calibrate(const measure_series* series, int64_t sample_ns) {
  size_t ops = 1;
  int64_t wall;
  double each = time_each(series, ops, &wall);
  while (wall < MEASURE_CALIBRATE_NS) {
    ops *= 2;
    each = time_each(series, ops, &wall);
  }
  for (int i = 0; i < CALIBRATIONS; i++) {
    double again = time_each(series, ops, &wall);
    if (again < each) each = again;
  }
  if (sample_ns != 0) return (size_t)((double)sample_ns / each) + 1;
  return each >= MEASURE_SINGLE_NS ? 1 : (size_t)(MEASURE_SAMPLE_NS / each) + 1;
}

static void run_block(member* m) {
  const measure_series* series = m->crew->series;
  const size_t batch = m->crew->batch;
  const double calls = (double)(batch * series->calls);
  const int64_t settled = measure_now_ns() + m->crew->options->settle_ns;
  while (measure_now_ns() < settled) series->run(series->context, m->index, batch);
  m->sample_count = m->ops = 0;
  m->counted_ns = 0;
  int64_t last = m->begin_ns = measure_now_ns();
  const int64_t deadline = last + m->crew->block_ns;
  do {
    int64_t counted = series->run(series->context, m->index, batch);
    int64_t now = measure_now_ns();
    m->samples[m->sample_count++] = (float)((double)(counted ? counted : now - last) / calls);
    m->counted_ns += counted;
    m->ops += batch;
    last = now;
  } while (last < deadline && m->sample_count < MEASURE_MAX_SAMPLES);
  m->end_ns = last;
}

static void* work(void* argument) {
  member* m = argument;
  crew* c = m->crew;
  for (;;) {
    pthread_barrier_wait(&c->start);
    if (c->stop) return NULL;
    if (c->series->threads <= SPIN_THREADS) {
      atomic_fetch_add(&c->arrived, 1);
      while (atomic_load_explicit(&c->arrived, memory_order_acquire) < c->series->threads) {
      }
    }
    run_block(m);
    pthread_barrier_wait(&c->end);
  }
}

static void open_crew(crew* c, const measure_series* series, const measure_options* options) {
  if (series->threads < 1 || series->threads > MEASURE_MAX_THREADS)
    measure_fail("series %s has %d threads: 1 to %d can be", series->name, series->threads,
                 MEASURE_MAX_THREADS);
  *c = (crew){.series = series, .options = options};
  c->block_ns = options->block_ns ? options->block_ns : MEASURE_BLOCK_NS;
  c->members = allocate((size_t)series->threads, sizeof(member));
  c->blocks = allocate((size_t)options->rounds, sizeof(block));
  c->batch = calibrate(series, options->sample_ns);
  for (int i = 0; i < series->threads; i++) {
    c->members[i].crew = c;
    c->members[i].index = i;
    c->members[i].samples = allocate(MEASURE_MAX_SAMPLES, sizeof(float));
  }
  if (series->threads == 1) return;
  pthread_barrier_init(&c->start, NULL, (unsigned)series->threads + 1);
  pthread_barrier_init(&c->end, NULL, (unsigned)series->threads + 1);
  for (int i = 0; i < series->threads; i++)
    if (pthread_create(&c->members[i].thread, NULL, work, &c->members[i]) != 0)
      measure_fail("cannot start thread %d of %d", i + 1, series->threads);
}

static void close_crew(crew* c) {
  if (c->series->threads > 1) {
    c->stop = 1;
    pthread_barrier_wait(&c->start);
    for (int i = 0; i < c->series->threads; i++) pthread_join(c->members[i].thread, NULL);
    pthread_barrier_destroy(&c->start);
    pthread_barrier_destroy(&c->end);
  }
  for (int i = 0; i < c->series->threads; i++) free(c->members[i].samples);
  for (size_t i = 0; i < c->block_count; i++) free(c->blocks[i].samples);
  free(c->members);
  free(c->blocks);
}

static void run_crew(crew* c) {
  if (c->series->threads == 1) {
    run_block(&c->members[0]);
    return;
  }
  atomic_store(&c->arrived, 0);
  pthread_barrier_wait(&c->start);
  pthread_barrier_wait(&c->end);
}

/* Keeps what the threads measured as one block. */
static void record(crew* c) {
  block* b = &c->blocks[c->block_count++];
  int64_t begin = c->members[0].begin_ns, end = c->members[0].end_ns, counted = 0;
  for (int i = 0; i < c->series->threads; i++) {
    const member* m = &c->members[i];
    b->ops += m->ops;
    b->sample_count += m->sample_count;
    if (m->begin_ns < begin) begin = m->begin_ns;
    if (m->end_ns > end) end = m->end_ns;
    counted += m->counted_ns;
  }
  b->elapsed_ns = counted ? counted / c->series->threads : end - begin;
  b->samples = allocate(b->sample_count, sizeof(float));
  float* next = b->samples;
  for (int i = 0; i < c->series->threads; i++) {
    const member* m = &c->members[i];
    memcpy(next, m->samples, m->sample_count * sizeof(float));
    next += m->sample_count;
  }
}

static void print(const char* name, const crew* c) {
  for (size_t i = 0; i < c->block_count; i++) {
    const block* b = &c->blocks[i];
    printf("{\"case\":\"%s\",\"series\":\"%s\",\"round\":%zu,\"threads\":%d,\"calls\":%zu,", name,
           c->series->name, i, c->series->threads, b->ops * c->series->calls);
    printf("\"elapsed_ns\":%lld,\"samples\":[", (long long)b->elapsed_ns);
    for (size_t k = 0; k < b->sample_count; k++)
      printf(k == 0 ? "%.1f" : ",%.1f", (double)b->samples[k]);
    printf("]}\n");
  }
}

void measure_case(const char* name, const measure_series* series, size_t count,
                  const measure_options* options) {
  if (count == 0 || count > MEASURE_MAX_SERIES)
    measure_fail("case %s has %zu series: 1 to %d can be", name, count, MEASURE_MAX_SERIES);
  crew crews[MEASURE_MAX_SERIES];
  for (size_t i = 0; i < count; i++) {
    open_crew(&crews[i], &series[i], options);
    run_crew(&crews[i]); /* warms caches, threads and connections; not kept */
  }
  for (int round = 0; round < options->rounds; round++) {
    for (size_t i = 0; i < count; i++) {
      crew* c = &crews[round % 2 ? count - 1 - i : i];
      run_crew(c);
      record(c);
    }
  }
  for (size_t i = 0; i < count; i++) {
    print(name, &crews[i]);
    close_crew(&crews[i]);
  }
  fflush(stdout);
}

void measure_once(const char* name, const char* series, int64_t ns) {
  printf("{\"case\":\"%s\",\"series\":\"%s\",\"round\":0,\"threads\":1,\"calls\":1,", name, series);
  printf("\"elapsed_ns\":%lld,\"samples\":[%lld]}\n", (long long)ns, (long long)ns);
  fflush(stdout);
}

void measure_value(const char* name, double value, const char* unit) {
  printf("{\"case\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}\n", name, value, unit);
  fflush(stdout);
}
