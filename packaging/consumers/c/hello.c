/* A project that uses an installed libdcf: a function that runs beside a vertex, once. */
#include <dcf.h>
#include <stdio.h>
#include <string.h>

static dcf_status greet(void* user_data, const dcf_udf_input* input, dcf_output* output) {
  char text[64];
  (void)user_data;
  const int size = snprintf(text, sizeof text, "hello, %.*s", (int)input->arguments.size,
                            (const char*)input->arguments.data);
  return output->api->bytes(output, (dcf_bytes){text, (size_t)size});
}

static int failed(const dcf_error* error) {
  fprintf(stderr, "%s: %s\n", dcf_status_name(error->status), error->message);
  return 1;
}

int main(void) {
  dcf_error error;
  dcf_worker worker;
  dcf_vertex vertex;
  dcf_udf udf;
  dcf_worker_options options = DCF_WORKER_OPTIONS_INIT;
  dcf_put_options put = DCF_PUT_OPTIONS_INIT;
  dcf_udf_definition definition = DCF_UDF_DEFINITION_INIT;
  definition.name = (dcf_bytes){"greet", 5};
  definition.calculate = greet;
  if (dcf_worker_open(&options, &worker, &error) != DCF_OK ||
      dcf_vertex_put(worker, &put, NULL, NULL, &vertex, &error) != DCF_OK ||
      dcf_udf_register(worker, &definition, &udf, &error) != DCF_OK)
    return failed(&error);

  char answer[64];
  dcf_call call = DCF_CALL_INIT;
  call.udf = udf;
  call.targets = &vertex;
  call.target_count = 1;
  call.arguments = (dcf_bytes){"installed", 9};
  call.buffer = answer;
  call.buffer_size = sizeof answer;
  call.error = &error;
  if (dcf_call_run(worker, &call, 1, &error) != DCF_OK || call.status != DCF_OK)
    return failed(&error);
  printf("%.*s\n", (int)call.result_size, answer);
  return dcf_worker_close(worker, 0, &error) == DCF_OK ? 0 : failed(&error);
}
