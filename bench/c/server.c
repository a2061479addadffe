/* The other process of the remote cases: a worker with the tables and functions that the drivers
 * call, and the floors' echo server and ring beside it. Prints "ready ADDRESS FLOOR-PORT RING" when
 * it serves, and ends when its standard input does, so that it never outlives the program that
 * started it.
 *
 * Options: --case tree makes the second half of the tree; --case peer the tables of the comparison
 * with other systems. --server ADDRESS joins that worker's cluster. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echo.h"
#include "fixture.h"
#include "ring.h"

#define SUM_ROWS 1000000
#define BLOB_ROWS 128 /* 1 KiB of int64 */
#define FAN_ITEMS 4   /* of each server */
#define FAN_ROWS 1000

static double* new_column(int64_t rows) {
  double* values = aligned_alloc(64, ((size_t)rows * sizeof *values + 63) / 64 * 64);
  if (values == NULL) measure_fail("out of memory for a column of %lld rows", (long long)rows);
  for (int64_t i = 0; i < rows; i++) values[i] = (double)i;
  return values;
}

static void put_item(dcf_worker worker) {
  static const int64_t values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  fixture_put(worker, "item", 0, "l", values, 8);
}

static void put_table(dcf_worker worker) {
  fixture_put(worker, "table", 0, "g", new_column(FIXTURE_TABLE_ROWS), FIXTURE_TABLE_ROWS);
}

/* Tables whose names tell the servers of one comparison apart: "item-7411", ... */
static void put_peer(dcf_worker worker, int first) {
  static const int64_t blob[BLOB_ROWS];
  char name[32];
  fixture_put(worker, first ? "blob" : "blob-second", 0, "l", blob, BLOB_ROWS);
  fixture_put(worker, first ? "column" : "column-second", 0, "g", new_column(SUM_ROWS), SUM_ROWS);
  for (int i = 0; i < FAN_ITEMS; i++) {
    snprintf(name, sizeof name, "fan-%d", first ? i : i + FAN_ITEMS);
    fixture_put(worker, name, 0, "g", new_column(FAN_ROWS), FAN_ROWS);
  }
}

int main(int argc, char** argv) {
  const fixture_options o = fixture_parse(argc, argv);
  char address[64];
  snprintf(address, sizeof address, "tcp://127.0.0.1:%d", echo_free_port());
  dcf_worker worker = fixture_open(address, o.server);
  fixture_register(worker, "bench.add", NULL, FIXTURE_VERSION);
  fixture_register(worker, "bench.blob", NULL, FIXTURE_VERSION);
  fixture_register(worker, "bench.sum", NULL, FIXTURE_VERSION);
  fixture_register(worker, "bench.tree", NULL, FIXTURE_VERSION);
  if (o.server == NULL) put_item(worker);
  if (strcmp(o.name, "tree") == 0) fixture_tree(worker, FIXTURE_TREE_FIRST, FIXTURE_TREE_COUNT);
  if (strcmp(o.name, "table") == 0 || (strcmp(o.name, "peer") == 0 && o.server == NULL))
    put_table(worker);
  if (strcmp(o.name, "peer") == 0) put_peer(worker, o.server == NULL);
  const int ring = ring_serve();
  if (ring < 0) measure_fail("cannot make a ring: %s", strerror(errno));
  printf("ready %s %d /proc/%d/fd/%d\n", address, echo_serve(), getpid(), ring);
  fflush(stdout);
  char ignored;
  while (read(STDIN_FILENO, &ignored, 1) > 0) {
  }
  dcf_error error;
  fixture_check(dcf_worker_close(worker, 0, &error), &error, "dcf_worker_close");
  return 0;
}
