/* The C peer: a worker that does what it is told on its standard input, one line a command, and
 * answers each with a line. pairs/peers.py says what the commands are. */
#include <dcf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "functions.h"

static dcf_worker worker;
static dcf_error error;

static dcf_bytes text(const char* s) { return (dcf_bytes){s, strlen(s)}; }

/* ---- Words --------------------------------------------------------------- */

static char* words; /* what is left of the command */

static char* next(void) {
  char* word = strtok_r(NULL, " \n", &words);
  if (!word) give_up("a command has too few words");
  return word;
}

static int64_t next_number(void) { return strtoll(next(), NULL, 10); }

static FILE* open_file(const char* path, const char* mode) {
  FILE* file = fopen(path, mode);
  if (!file) give_up("a file cannot be opened");
  return file;
}

/* Reads the rows that the next three words name: a file, where they begin, how many they are. */
static void next_table(struct ArrowSchema* schema, struct ArrowArray* array) {
  FILE* file = open_file(next(), "r");
  int64_t from = next_number(), count = next_number();
  if (!batch_read(file, schema, array)) give_up("a file has no batch");
  fclose(file);
  batch_slice(array, from, count);
}

/* Writes all batches of a stream. */
static dcf_status write_table(const char* path, struct ArrowArrayStream* stream) {
  struct ArrowSchema schema = {0};
  struct ArrowArray array;
  FILE* file = open_file(path, "w");
  int failed = stream->get_schema(stream, &schema);
  while (!failed && !(failed = stream->get_next(stream, &array)) && array.release) {
    batch_write(file, &schema, &array);
    array.release(&array);
  }
  if (failed) {
    const char* why = stream->get_last_error(stream);
    error = (dcf_error){.status = DCF_INTERNAL};
    snprintf(error.message, sizeof error.message, "a stream failed: %s", why ? why : "");
  }
  if (schema.release) schema.release(&schema);
  stream->release(stream);
  fclose(file);
  return failed ? DCF_INTERNAL : DCF_OK;
}

/* ---- Answers ------------------------------------------------------------- */

static const char* const effects_names[] = {"none", "complete", "unknown"};

static void answer_error(const char* effects, dcf_bytes detail) {
  printf("error %s %" PRIu64 " %s ", dcf_status_name(error.status), error.node, effects);
  hex_write(stdout, error.message, (int64_t)strlen(error.message));
  putchar(' ');
  hex_write(stdout, detail.data, (int64_t)detail.size);
  putchar('\n');
}

static void answer(dcf_status status) {
  if (status == DCF_OK) {
    puts("ok");
  } else {
    answer_error("-", text(""));
  }
}

/* ---- Vertices ------------------------------------------------------------ */

static dcf_status do_put(void) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_vertex vertex;
  dcf_put_options options = DCF_PUT_OPTIONS_INIT;
  options.name = text(next());
  options.shard_count = (uint32_t)next_number();
  next_table(&schema, &array);
  dcf_status status = dcf_vertex_put(worker, &options, &schema, &array, &vertex, &error);
  if (status != DCF_OK) {
    batch_release(&schema, &array);
    return status;
  }
  return dcf_vertex_release(vertex, &error);
}

static dcf_status set(dcf_vertex vertex) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  next_table(&schema, &array);
  dcf_status status = dcf_vertex_set(vertex, 0, &schema, &array, NULL, &error);
  if (status != DCF_OK) batch_release(&schema, &array);
  return status;
}

static dcf_status read_all(dcf_vertex vertex) {
  struct ArrowArrayStream stream;
  const char* path = next();
  dcf_status status = dcf_vertex_stream(vertex, &stream, &error);
  return status == DCF_OK ? write_table(path, &stream) : status;
}

static dcf_status drop(dcf_vertex vertex) { return dcf_vertex_drop(vertex, &error); }

/* Does something with the vertex that the next word names. */
static dcf_status with_vertex(dcf_status (*act)(dcf_vertex)) {
  dcf_vertex vertex;
  dcf_status status = dcf_vertex_open_name(worker, text(next()), &vertex, &error);
  if (status != DCF_OK) return status;
  status = act(vertex);
  if (dcf_vertex_release(vertex, NULL) != DCF_OK) give_up("a vertex cannot be given back");
  return status;
}

/* ---- Calls --------------------------------------------------------------- */

/* Submits the call and waits for it. It always comes back, so its memory is free then. */
static dcf_status run_by_queue(dcf_call* call) {
  dcf_queue queue;
  dcf_call* done = NULL;
  size_t count = 0;
  dcf_status status = dcf_queue_open(worker, &queue, &error);
  if (status != DCF_OK) return status;
  status = dcf_queue_submit(queue, call, 1, &error);
  while (status == DCF_OK && count == 0)
    status = dcf_queue_poll(queue, &done, 1, 0, &count, &error);
  if (dcf_queue_close(queue, NULL) != DCF_OK) give_up("a queue cannot be closed");
  return status;
}

/* The arguments of a call: "bytes" and hexadecimal digits, "table" and a table, or "none". */
static void next_arguments(dcf_call* call, struct ArrowSchema* schema, struct ArrowArray* array) {
  const char* kind = next();
  schema->release = NULL;
  if (strcmp(kind, "bytes") == 0) {
    char* bytes = next();
    call->arguments = (dcf_bytes){bytes, hex_read(bytes)};
  } else if (strcmp(kind, "table") == 0) {
    next_table(schema, array);
    call->more->arguments_schema = schema;
    call->more->arguments_array = array;
  }
}

static void answer_result(const dcf_call* call, const char* path) {
  struct dcf_call_more* more = call->more;
  dcf_status status = DCF_OK;
  if (call->result_kind == DCF_RESULT_ARRAY) {
    FILE* file = open_file(path, "w");
    batch_write(file, &more->result_schema, &more->result_array);
    fclose(file);
  } else if (call->result_kind == DCF_RESULT_PARTS) {
    status = write_table(path, &more->result_parts);
  }
  if (status != DCF_OK) {
    answer(status);
    return;
  }
  printf("ok %s %" PRIu64, effects_names[call->effects], more->served_by);
  if (call->result_kind == DCF_RESULT_NONE) fputs(" none", stdout);
  if (call->result_kind >= DCF_RESULT_ARRAY) fputs(" table", stdout);
  if (call->result_kind == DCF_RESULT_BYTES) {
    fputs(" bytes ", stdout);
    hex_write(stdout, more->result_bytes.data, (int64_t)more->result_bytes.size);
  }
  putchar('\n');
}

static void call_vertex(dcf_udf udf, dcf_vertex vertex) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_call_more more = DCF_CALL_MORE_INIT;
  dcf_call call = DCF_CALL_INIT;
  const char* how = next();
  call.udf = udf;
  call.targets = &vertex;
  call.target_count = 1;
  call.more = &more;
  call.error = &error;
  if (strcmp(how, "here") == 0) call.flags = DCF_CALL_HERE;
  if (strcmp(how, "owner") == 0) call.flags = DCF_CALL_AT_OWNER;
  call.timeout_ns = next_number() * 1000000;
  const char* path = next();
  next_arguments(&call, &schema, &array);
  dcf_status status =
      strcmp(how, "queue") == 0 ? run_by_queue(&call) : dcf_call_run(worker, &call, 1, &error);
  if (status != DCF_OK) {
    answer(status);
  } else if (call.status != DCF_OK) {
    answer_error(effects_names[call.effects], more.error_detail);
  } else {
    answer_result(&call, path);
  }
  dcf_call_clear(&call);
  if (schema.release) batch_release(&schema, &array);
}

static void do_call(void) {
  dcf_udf udf;
  dcf_vertex vertex;
  const char* name = next();
  dcf_status status = dcf_udf_open(worker, text(name), &udf, &error);
  if (status != DCF_OK) {
    answer(status);
    return;
  }
  status = dcf_vertex_open_name(worker, text(next()), &vertex, &error);
  if (status == DCF_OK) {
    call_vertex(udf, vertex);
    status = dcf_vertex_release(vertex, &error);
  } else {
    answer(status);
  }
  if (dcf_udf_release(udf, NULL) != DCF_OK) give_up("a function cannot be given back");
}

/* ---- The worker ---------------------------------------------------------- */

static dcf_status do_register(void) {
  const char* name = next();
  return functions_register(worker, name, (uint32_t)next_number(), &error);
}

/* Closes the worker and says which handles the process still has. Another worker can tell. */
static dcf_status close_and_count(void) {
  struct ArrowArrayStream stream;
  struct ArrowArray stats;
  dcf_status status = dcf_worker_close(worker, 0, &error);
  if (status != DCF_OK) return status;
  if (dcf_worker_open(NULL, &worker, NULL) != DCF_OK ||
      dcf_worker_stats(worker, &stream, NULL) != DCF_OK || stream.get_next(&stream, &stats))
    give_up("the counters cannot be read");
  const int32_t* offsets = stats.children[0]->buffers[1];
  const char* names = stats.children[0]->buffers[2];
  const int64_t* values = stats.children[2]->buffers[1];
  fputs("ok", stdout);
  for (int64_t i = 0; i < stats.length; i++)
    if (strncmp(names + offsets[i], "handles.", 8) == 0)
      printf(" %.*s=%" PRId64, (int)(offsets[i + 1] - offsets[i]), names + offsets[i], values[i]);
  putchar('\n');
  stats.release(&stats);
  stream.release(&stream);
  return dcf_worker_close(worker, 0, &error);
}

/* The address at which this worker listens: that of the row of itself. */
static void say_address(void) {
  struct ArrowArrayStream stream;
  struct ArrowArray nodes;
  if (dcf_worker_nodes(worker, &stream, NULL) != DCF_OK || stream.get_next(&stream, &nodes))
    give_up("the nodes cannot be read");
  const uint8_t* self = nodes.children[2]->buffers[1];
  const int32_t* offsets = nodes.children[6]->buffers[1];
  for (int64_t i = 0; i < nodes.length; i++)
    if (self[i / 8] >> i % 8 & 1)
      printf("ok %.*s\n", (int)(offsets[i + 1] - offsets[i]),
             (const char*)nodes.children[6]->buffers[2] + offsets[i]);
  nodes.release(&nodes);
  stream.release(&stream);
}

/* Does what a line says. 0: it was the last one. */
static int obey(char* line) {
  const char* command = strtok_r(line, " \n", &words);
  if (!command) give_up("a command is empty");
  if (strcmp(command, "close") == 0) {
    if (close_and_count() != DCF_OK) answer_error("-", text(""));
    return 0;
  }
  if (strcmp(command, "put") == 0) {
    answer(do_put());
  } else if (strcmp(command, "set") == 0) {
    answer(with_vertex(set));
  } else if (strcmp(command, "read") == 0) {
    answer(with_vertex(read_all));
  } else if (strcmp(command, "drop") == 0) {
    answer(with_vertex(drop));
  } else if (strcmp(command, "call") == 0) {
    do_call();
  } else if (strcmp(command, "register") == 0) {
    answer(do_register());
  } else {
    give_up("an unknown command");
  }
  return 1;
}

int main(int argc, char** argv) {
  char* line = NULL;
  size_t size = 0;
  int more = 1;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  if (argc < 2) give_up("usage: peer NODE [ADDRESS]");
  options.node_id = strtoull(argv[1], NULL, 10);
  options.listen = text("tcp://127.0.0.1:0");
  if (argc > 2) options.join = text(argv[2]);
  if (dcf_worker_open(&options, &worker, &error) != DCF_OK) give_up(error.message);
  say_address();
  while (more && fflush(stdout) == 0 && getline(&line, &size, stdin) > 0) more = obey(line);
  fflush(stdout);
  free(line);
  return more; /* 1: nobody said close */
}
