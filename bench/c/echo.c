#define _GNU_SOURCE
#include "echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

#define BACKLOG 128
#define STACK_BYTES (256 << 10) /* of a serving thread: it calls little */
#define TIMEOUT_SECONDS 30      /* of one read or write */

/* What a client says first. Both ends are one build on one host: no byte order to agree on. */
typedef struct greeting {
  uint64_t request, reply;
} greeting;

static void prepare(int fd) {
  const int on = 1;
  const struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

/* Returns 0 when the other side closed, or the connection broke. */
static int receive(int fd, void* buffer, size_t size) {
  char* next = buffer;
  while (size > 0) {
    ssize_t n = recv(fd, next, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    next += n;
    size -= (size_t)n;
  }
  return 1;
}

static int transmit(int fd, const void* buffer, size_t size) {
  const char* next = buffer;
  while (size > 0) {
    ssize_t n = send(fd, next, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    next += n;
    size -= (size_t)n;
  }
  return 1;
}

static void* new_buffer(size_t request, size_t reply) {
  const size_t size = request > reply ? request : reply;
  void* buffer = malloc(size);
  if (buffer == NULL) measure_fail("out of memory for a buffer of %zu bytes", size);
  memset(buffer, 1, size);
  return buffer;
}

static void* serve(void* argument) {
  const int fd = (int)(intptr_t)argument;
  greeting hello;
  if (receive(fd, &hello, sizeof hello)) {
    void* buffer = new_buffer(hello.request, hello.reply);
    while (receive(fd, buffer, hello.request) && transmit(fd, buffer, hello.reply)) {
    }
    free(buffer);
  }
  close(fd);
  return NULL;
}

static void start_thread(void* (*run)(void*), int fd) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  if (pthread_create(&thread, &attributes, run, (void*)(intptr_t)fd) != 0)
    measure_fail("cannot start a thread for a connection");
  pthread_attr_destroy(&attributes);
}

static void* accept_all(void* argument) {
  for (;;) {
    int fd = accept4((int)(intptr_t)argument, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) continue;
    prepare(fd);
    start_thread(serve, fd);
  }
  return NULL;
}

/* A listening socket on a free loopback port. */
static int listen_anywhere(int* port_out) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, size) != 0 || listen(fd, BACKLOG) != 0 ||
      getsockname(fd, (struct sockaddr*)&address, &size) != 0)
    measure_fail("cannot listen on the loopback device: %s", strerror(errno));
  *port_out = ntohs(address.sin_port);
  return fd;
}

int echo_serve(void) {
  int port;
  start_thread(accept_all, listen_anywhere(&port));
  return port;
}

int echo_free_port(void) {
  int port;
  close(listen_anywhere(&port));
  return port;
}

echo_link echo_connect(int port, size_t request, size_t reply) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || connect(fd, (struct sockaddr*)&address, sizeof address) != 0)
    measure_fail("cannot connect to port %d of the loopback device: %s", port, strerror(errno));
  prepare(fd);
  const greeting hello = {request, reply};
  if (!transmit(fd, &hello, sizeof hello)) measure_fail("the server of floors is gone");
  return (echo_link){fd, request, reply, new_buffer(request, reply)};
}

void echo_round_trip(const echo_link* link) {
  if (!transmit(link->socket, link->buffer, link->request) ||
      !receive(link->socket, link->buffer, link->reply))
    measure_fail("the server of floors is gone");
}

void echo_close(echo_link* link) {
  close(link->socket);
  free(link->buffer);
}
