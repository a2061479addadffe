/* The buffer protocol for the stable ABI of Python 3.10.
 *
 * Py_buffer entered the limited API with 3.11, in exactly the shape that it had in 3.10, whose
 * interpreter exports the same functions. Nothing about 3.10 can change any more, so one binary
 * that declares them by itself serves both. */
#ifndef DCF_PYTHON_BUFFER_H
#define DCF_PYTHON_BUFFER_H

#include <Python.h>

#if !defined(Py_LIMITED_API) || Py_LIMITED_API + 0 >= 0x030b0000
#error "built for the limited API of 3.11 or newer: include Python.h alone"
#endif

typedef struct {
  void* buf;
  PyObject* obj;
  Py_ssize_t len;
  Py_ssize_t itemsize;
  int readonly;
  int ndim;
  char* format;
  Py_ssize_t* shape;
  Py_ssize_t* strides;
  Py_ssize_t* suboffsets;
  void* internal;
} Py_buffer;

PyAPI_FUNC(int) PyObject_CheckBuffer(PyObject* object);
PyAPI_FUNC(int) PyObject_GetBuffer(PyObject* object, Py_buffer* view, int flags);
PyAPI_FUNC(void) PyBuffer_Release(Py_buffer* view);

#define PyBUF_SIMPLE 0
#define PyBUF_WRITABLE 0x0001
#define PyBUF_FORMAT 0x0004
#define PyBUF_ND 0x0008
#define PyBUF_STRIDES (0x0010 | PyBUF_ND)
#define PyBUF_C_CONTIGUOUS (0x0020 | PyBUF_STRIDES)

#define Py_bf_getbuffer 1
#define Py_bf_releasebuffer 2

#endif
