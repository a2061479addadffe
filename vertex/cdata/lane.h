/* Lanes: beside the rings of a connection through shared memory, places that carry one small call
 * each at a time, of a thread that waits for its answer itself. Laid out so that C makes such calls
 * without Go; package lane says how they are used. */
#ifndef DCF_LANE_H
#define DCF_LANE_H

#include <stdatomic.h>
#include <stdint.h>

/* The first lanes are for callers of one call, and the server looks at each that was ever used. The
 * others are for callers of many: the server looks at them when their bell rings. */
#define DCF_LANES_WATCHED 8
#define DCF_LANES_BELLED 64
#define DCF_LANES (DCF_LANES_WATCHED + DCF_LANES_BELLED)
#define DCF_LANE_REQUEST_BYTES 208
#define DCF_LANE_REPLY_BYTES 240

/* The word of a request or a reply is written last, and only then is the rest read. Its upper 48
 * bits count the calls of the lane from 1 on, the next 8 say what it is, the last 8 how many bytes
 * of data there are. */
#define DCF_LANE_NUMBER_SHIFT 16
#define DCF_LANE_KIND_SHIFT 8

/* Kinds of requests. */
#define DCF_LANE_PATIENT 0 /* data is arguments */
#define DCF_LANE_HURRIED 1 /* before them, 8 bytes: how many nanoseconds are left */

/* Kinds of replies. */
#define DCF_LANE_NOTHING 1   /* it ran, and has no part */
#define DCF_LANE_BYTES 2     /* data is its part */
#define DCF_LANE_FAILED 3    /* data is the status, 4 bytes, and the message */
#define DCF_LANE_ELSEWHERE 4 /* it is to be asked as a frame; data is 1 byte: whether always */
#define DCF_LANE_TREE \
  5 /* data is how many calculates ran, 4 bytes; whether there is a part, 4 bytes; the part */

typedef struct dcf_lane_request {
  _Atomic uint64_t word;
  uint8_t vertex[16];
  uint64_t birth;
  uint8_t function[16];
  uint8_t data[DCF_LANE_REQUEST_BYTES];
} dcf_lane_request;

typedef struct dcf_lane_reply {
  _Atomic uint64_t word;
  uint64_t version;
  uint8_t data[DCF_LANE_REPLY_BYTES];
} dcf_lane_reply;

/* The values of words that say whether somebody sleeps. Whoever wakes him makes it AWAKE first. */
#define DCF_LANE_AWAKE 0
#define DCF_LANE_IN_FUTEX 1 /* on that word; everything else: on the connection's socket */

/* What a byte on the socket says that only wakes. */
#define DCF_LANE_WAKE '.'

/* One lane in the memory that both processes map. */
typedef struct dcf_lane_pair {
  dcf_lane_request request;
  dcf_lane_reply reply;
  _Atomic uint32_t asleep; /* whether the caller sleeps on this word */
  uint8_t reserved[124];
} dcf_lane_pair;

typedef struct dcf_lane_area {
  _Atomic uint32_t served; /* whether the server looks at lanes */
  uint8_t reserved1[124];
  _Atomic uint32_t used;  /* the watched lanes that the server has to look at, a bit each */
  _Atomic uint32_t waker; /* one more than the processor of the thread that woke the server last */
  uint8_t reserved2[120];
  _Atomic uint64_t
      bell; /* the belled lanes on which a call came, a bit each: the server clears it */
  uint8_t reserved3[120];
  dcf_lane_pair lanes[DCF_LANES];
} dcf_lane_area;

/* What the callers' process keeps of a lane. */
typedef struct dcf_lane {
  _Atomic uint64_t holder; /* twice the connection's number, plus one while a thread has the lane */
  uint64_t number;         /* of the last call */
  _Atomic uint64_t calls;  /* that were asked; only the holder writes these */
  _Atomic uint64_t sent;   /* bytes */
  _Atomic uint64_t received;
  _Atomic uint64_t spun; /* calls whose answer was seen without sleeping */
  uint8_t reserved[16];
} dcf_lane;

/* The lanes of one connection, in the callers' process. The memory is never freed, but used again
 * for another connection, under another number: who has its address tries to take a lane of the
 * connection that he means, and what it points to stays while he has it. */
typedef struct dcf_lanes {
  dcf_lane_area* area;
  _Atomic uint32_t* asleep; /* whether the server sleeps: a word of the ring */
  uint64_t node;            /* the server's */
  int64_t spin_ns;          /* how long to poll for an answer; 0: not at all */
  _Atomic uint32_t used;    /* as in the area */
  _Atomic uint32_t ended;   /* the connection is over: nobody is to wait */
  _Atomic uint32_t skip;    /* calls to go until the next one polls */
  _Atomic uint32_t missed;  /* pollings in a row that saw nothing */
  uint32_t index;           /* its name in Go */
  int32_t socket;           /* where DCF_LANE_WAKE wakes a server that does not sleep on asleep */
  uint8_t reserved[8];
  dcf_lane lanes[DCF_LANES];
} dcf_lanes;

#endif
