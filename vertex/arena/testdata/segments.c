/* Takes and gives back blocks of segments on several threads, and forks meanwhile, so that a
 * sanitizer sees what is wrong. Ends with 0 if all is well. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../arena.h"
#include "../segment.h"

#define CHECK(x)                                              \
  do {                                                        \
    if (!(x)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
      _exit(1);                                               \
    }                                                         \
  } while (0)

static const size_t sizes[] = {DCF_SHARED_LARGE, 100000, 1 << 20, (5 << 20) + 1, 17 << 20};

static void* churn(void* arg) {
  char mark = *(char*)arg;
  for (int i = 0; i < 2000; i++) {
    size_t size = sizes[(size_t)i % 5];
    char* block = dcf_arena_alloc(size);
    CHECK(block && dcf_segments_have(block));
    block[0] = block[size - 1] = mark;
    if (i % 500 == 0) dcf_arena_keep((size_t)(i % 1000) << 16);
    if (i % 300 == 0) dcf_segments_warm(1 << 20);
    CHECK(block[0] == mark && block[size - 1] == mark);
    dcf_arena_free(block, size);
  }
  return NULL;
}

/* A child frees what it has and takes new blocks: what its parent has stays as it is. */
static void fork_beside(void) {
  char* block = dcf_arena_alloc(1 << 20);
  memset(block, 7, 1 << 20);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(dcf_arena_forked());
    dcf_arena_free(block, 1 << 20);
    for (int i = 0; i < 8; i++) {
      char* own = dcf_arena_alloc(1 << 20);
      CHECK(own && !dcf_segments_have(own));
      memset(own, 9, 1 << 20);
    }
    dcf_arena_keep(0);
    _exit(0);
  }
  int how;
  CHECK(waitpid(child, &how, 0) == child && how == 0);
  for (size_t i = 0; i < 1 << 20; i++) CHECK(block[i] == 7);
  CHECK(!dcf_arena_forked());
  dcf_arena_free(block, 1 << 20);
}

int main(void) {
  CHECK(dcf_arena_share((size_t)8 << 30) == 0);
  dcf_segments_reserve(80 << 20);
  pthread_t threads[4];
  char marks[4] = {1, 2, 3, 4};
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, churn, &marks[i]) == 0);
  for (int i = 0; i < 10; i++) fork_beside();
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  size_t used, kept;
  dcf_arena_usage(&used, &kept);
  CHECK(used == 0);
  dcf_arena_keep(0);
  dcf_arena_usage(&used, &kept);
  CHECK(kept == 0);
  dcf_segments_usage usage;
  dcf_segments_count(&usage);
  CHECK(usage.segments == 0 && usage.bytes == 0 && usage.refused == 0);
  return 0;
}
