/* Bare frames over TCP: what a round trip costs without dcf. A server thread a connection reads
 * `request` bytes and answers with `reply` bytes, blocking, into memory that stays warm. */
#ifndef DCF_BENCH_ECHO_H
#define DCF_BENCH_ECHO_H

#include <stddef.h>

/* Starts to serve on a free loopback port and returns it. For the rest of the process's life. */
int echo_serve(void);

/* A port of the loopback device that nobody listened on a moment ago. */
int echo_free_port(void);

typedef struct echo_link {
  int socket;
  size_t request, reply; /* bytes of one round trip */
  void* buffer;          /* as large as the larger of both, touched */
} echo_link;

/* Connects to a server of this host. Ends the process where it cannot. */
echo_link echo_connect(int port, size_t request, size_t reply);

/* One blocking round trip. */
void echo_round_trip(const echo_link* link);

void echo_close(echo_link* link);

#endif /* DCF_BENCH_ECHO_H */
