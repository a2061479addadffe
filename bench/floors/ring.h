/* The least that a call over shared memory can be: a round trip between two processes over two
 * rings of 64-byte slots, the sequence word of a slot written last. No frame, no function, nothing
 * is checked. The server's side copies the 16 bytes of a request and answers with 8. */
#ifndef DCF_BENCH_RING_H
#define DCF_BENCH_RING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RING_REQUEST_BYTES 16
#define RING_REPLY_BYTES 8
#define RING_SLOTS 1024 /* of each direction */

/* How both sides wait for a message. */
#define RING_SPINS 0  /* with PAUSE; the server sleeps where nothing comes for a while */
#define RING_SLEEPS 1 /* in a futex, at once */
#define RING_ADAPTS \
  2 /* with PAUSE for some microseconds, rarely where that is in vain; then as above */

/* Starts a thread that answers one client, for the rest of the process's life. Returns a
 * descriptor of the memory, or -1 with errno. Its path is /proc/PID/fd/DESCRIPTOR. */
int ring_serve(void);

typedef struct ring_link ring_link;

/* Maps the memory of a server. NULL with errno: EBUSY where it has, or had, another client. */
ring_link* ring_open(const char* path, int waiting);

/* Makes `calls` round trips with up to `outstanding` of them under way, fewer than RING_SLOTS.
 * outstanding - 1 of them stay under way when it returns, for the next run of as many. Returns 0
 * where the server has not answered for RING_TIMEOUT_NS or answers wrongly. */
#define RING_TIMEOUT_NS 30000000000
int ring_run(ring_link* link, size_t calls, size_t outstanding);

void ring_close(ring_link* link);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* DCF_BENCH_RING_H */
