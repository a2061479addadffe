#include "functions.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"

static dcf_bytes text(const char* s) { return (dcf_bytes){s, strlen(s)}; }

/* ---- What every language has --------------------------------------------- */

/* tally: the rows of a table, and the nulls of its first column. */
typedef struct counts {
  int64_t rows, nulls;
} counts;

static dcf_status tally(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  counts c = {input->array->length,
              batch_nulls(input->schema->children[0]->format, input->array->children[0])};
  return output->api->bytes(output, (dcf_bytes){&c, sizeof c});
}

static dcf_status add_up(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  counts all = {0, 0}, one;
  for (size_t i = 0; i < input->part_count; i++) {
    const dcf_part* part = (const dcf_part*)((const char*)input->parts + i * input->part_size);
    memcpy(&one, part->bytes.data, sizeof one);
    all.rows += one.rows;
    all.nulls += one.nulls;
  }
  return output->api->bytes(output, (dcf_bytes){&all, sizeof all});
}

/* Gives a batch to one of the output's functions, which takes it over if it succeeds. */
static dcf_status give(dcf_output* output,
                       dcf_status (*to)(dcf_output*, struct ArrowSchema*, struct ArrowArray*),
                       struct ArrowSchema* schema, struct ArrowArray* array) {
  dcf_status status = to(output, schema, array);
  if (status != DCF_OK) batch_release(schema, array);
  return status;
}

/* tail: all rows but the first. */
static dcf_status tail(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  struct ArrowSchema schema;
  struct ArrowArray array;
  dcf_status status = dcf_input_export(input, &schema, &array);
  if (status != DCF_OK) return status;
  batch_slice(&array, 1, array.length);
  return give(output, output->api->array, &schema, &array);
}

/* replace: the arguments become the value. They are lent, so the value is a copy. */
static dcf_status replace(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  struct ArrowSchema schema;
  struct ArrowArray array;
  if (!input->arguments_schema) {
    output->api->fail(output, text("replace needs a table as its arguments"));
    return DCF_INVALID_ARGUMENT;
  }
  batch_copy(input->arguments_schema, input->arguments_array, &schema, &array);
  return give(output, output->api->set_value, &schema, &array);
}

/* ---- What fails ---------------------------------------------------------- */

static dcf_status fails(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  (void)input;
  output->api->fail(output, text("the sky fell\nand this is the rest of the story\nin C"));
  return DCF_UDF_FAILED;
}

static dcf_status says_nothing(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  (void)input;
  (void)output;
  return DCF_UDF_FAILED;
}

/* One line that is longer than a dcf_error holds. */
static dcf_status goes_on(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  (void)input;
  char text[13 * 100];
  for (size_t at = 0; at < sizeof text; at += 13) memcpy(text + at, "the sky fell ", 13);
  output->api->fail(output, (dcf_bytes){text, sizeof text});
  return DCF_UDF_FAILED;
}

/* Hangs until somebody opened the pipe that the arguments name, and closed it. */
static dcf_status hangs(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  char path[4096], byte;
  if (input->arguments.size >= sizeof path) return DCF_INVALID_ARGUMENT;
  memcpy(path, input->arguments.data, input->arguments.size);
  path[input->arguments.size] = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return DCF_UDF_FAILED;
  while (read(file, &byte, 1) > 0) continue;
  close(file);
  return output->api->bytes(output, text("released"));
}

static dcf_status stranger(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  (void)input;
  output->api->fail(output, text("another language's function ran in C"));
  return DCF_UDF_FAILED;
}

/* ---- Registration -------------------------------------------------------- */

static const struct function {
  const char* name;
  dcf_calculate_fn calculate;
  dcf_merge_fn merge;
} functions[] = {
    {"tally", tally, add_up},         {"tail", tail, NULL},
    {"replace", replace, NULL},       {"c.fail", fails, NULL},
    {"c.silent", says_nothing, NULL}, {"c.long", goes_on, NULL},
    {"c.hang", hangs, NULL},          {"c.hang_update", hangs, NULL},
};

dcf_status functions_register(dcf_worker worker, const char* name, uint32_t flags,
                              dcf_error* error) {
  dcf_udf udf;
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = text(name);
  definition.version = text("1");
  definition.flags = flags;
  definition.calculate = stranger;
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    if (strcmp(functions[i].name, name) != 0) continue;
    definition.calculate = functions[i].calculate;
    definition.merge = functions[i].merge;
  }
  dcf_status status = dcf_udf_register(worker, &definition, &udf, error);
  return status == DCF_OK ? dcf_udf_release(udf, error) : status; /* it stays registered */
}
