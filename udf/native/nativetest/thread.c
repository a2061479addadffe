#include <pthread.h>

#include "nativetest.h"

static void* release(void* array) {
  struct ArrowArray* a = array;
  a->release(a);
  return NULL;
}

void dcf_nativetest_release_on_thread(void* array) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, release, array) == 0) pthread_join(thread, NULL);
}
