#include "functions.h"

#include <string.h>

static const void* column_values(const dcf_udf_input* input) {
  return input->array->children[0]->buffers[1];
}

static dcf_status add(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  int64_t* result;
  dcf_status s = output->api->reserve(output, sizeof *result, (void**)&result);
  if (s != DCF_OK) return s;
  int64_t argument;
  memcpy(&argument, input->arguments.data, sizeof argument);
  *result = *(const int64_t*)column_values(input) + argument;
  return DCF_OK;
}

static dcf_status blob(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  const size_t size = (size_t)input->array->length * sizeof(int64_t);
  return output->api->bytes(output, (dcf_bytes){column_values(input), size});
}

double bench_sum(const double* values, int64_t rows) {
  /* Four sums: one alone would wait for each addition before it starts the next. */
  double parts[4] = {0};
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
    for (int k = 0; k < 4; k++) parts[k] += values[i + k];
  for (; i < rows; i++) parts[0] += values[i];
  return parts[0] + parts[1] + parts[2] + parts[3];
}

static dcf_status sum(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  const double total = bench_sum(column_values(input), input->array->length);
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}

static dcf_status sum_merge(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  double total = 0;
  const char* part = (const char*)input->parts;
  for (size_t i = 0; i < input->part_count; i++, part += input->part_size)
    total += *(const double*)((const dcf_part*)part)->bytes.data;
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}

/* Of the only part there is. */
static dcf_status blob_merge(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  return output->api->bytes(output, input->parts[0].bytes);
}

static dcf_status tree(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  (void)user_data;
  for (size_t i = 0; i < input->child_count; i++) {
    dcf_spawn spawn = DCF_SPAWN_INIT;
    spawn.target = input->children[i];
    dcf_status s = output->api->spawn(output, &spawn);
    if (s != DCF_OK) return s;
  }
  return output->api->bytes(output, (dcf_bytes){column_values(input), sizeof(int64_t)});
}

static dcf_status add_merge(void* user_data, const dcf_merge_input* input, dcf_output* output) {
  (void)user_data;
  int64_t total = 0;
  const char* part = (const char*)input->parts;
  for (size_t i = 0; i < input->part_count; i++, part += input->part_size)
    total += *(const int64_t*)((const dcf_part*)part)->bytes.data;
  return output->api->bytes(output, (dcf_bytes){&total, sizeof total});
}

const bench_function* bench_function_named(const char* name) {
  static const bench_function functions[] = {{"bench.add", add, add_merge},
                                             {"bench.blob", blob, blob_merge},
                                             {"bench.sum", sum, sum_merge},
                                             {"bench.tree", tree, add_merge}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (strcmp(name, functions[i].name) == 0) return &functions[i];
  return NULL;
}
