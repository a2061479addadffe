/* Takes and gives back blocks of segments on several threads, and forks meanwhile, so that a
 * sanitizer sees what is wrong. Ends with 0 if all is well. */
#include <pthread.h>
#include <signal.h>
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

/* A child frees what it has and takes new blocks: what its parent has stays as it is. And what the
 * parent frees the child still reads, unless that is more than may be kept. */
static void fork_beside(int kept) {
  enum { SMALL = 1 << 20, LARGE = 17 << 20 };
  char* small = dcf_arena_alloc(SMALL);
  char* large = dcf_arena_alloc(LARGE);
  memset(small, 7, SMALL);
  memset(large, 7, LARGE);
  int go[2];
  CHECK(pipe(go) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(dcf_arena_forked());
    char word;
    close(go[1]);
    CHECK(read(go[0], &word, 1) == 0); /* the parent has freed and taken */
    for (size_t i = 0; i < SMALL && kept; i++) CHECK(small[i] == 7);
    for (size_t i = 0; i < LARGE; i++) CHECK(large[i] == 7);
    dcf_arena_free(small, SMALL);
    for (int i = 0; i < 8; i++) {
      char* own = dcf_arena_alloc(SMALL);
      CHECK(own && !dcf_segments_have(own));
      memset(own, 9, SMALL);
    }
    dcf_arena_keep(0);
    _exit(0);
  }
  dcf_arena_free(small, SMALL);
  dcf_arena_free(large, LARGE);
  char* other = dcf_arena_alloc(SMALL);
  memset(other, 8, SMALL);
  close(go[0]);
  close(go[1]);
  int how;
  CHECK(waitpid(child, &how, 0) == child && how == 0);
  for (size_t i = 0; i < SMALL; i++) CHECK(other[i] == 8);
  CHECK(!dcf_arena_forked());
  dcf_arena_free(other, SMALL);
}

/* When a child is gone its parent takes what was held back for it. */
static void recycle_after_child(void) {
  enum { SIZE = 1 << 20 };
  char* block = dcf_arena_alloc(SIZE);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    pause();
    _exit(0);
  }
  dcf_arena_free(block, SIZE);
  char* other = dcf_arena_alloc(SIZE);
  CHECK(other != block);
  kill(child, SIGKILL);
  CHECK(waitpid(child, NULL, 0) == child);
  dcf_arena_free(other, SIZE);
  CHECK(dcf_arena_alloc(SIZE) == block); /* it is the first that is free */
  dcf_arena_free(block, SIZE);
}

int main(void) {
  CHECK(dcf_arena_share((size_t)8 << 30) == 0);
  dcf_segments_reserve(80 << 20);
  for (int i = 0; i < 10; i++) fork_beside(1);
  recycle_after_child();
  pthread_t threads[4];
  char marks[4] = {1, 2, 3, 4};
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, churn, &marks[i]) == 0);
  for (int i = 0; i < 10; i++) fork_beside(0);
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
