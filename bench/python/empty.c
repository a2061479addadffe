/* Python module _empty: the least that can be imported. In the stable ABI of Python 3.10. */
#define Py_LIMITED_API 0x030A0000
#include <Python.h>

static struct PyModuleDef kModule = {
    PyModuleDef_HEAD_INIT, "_empty", NULL, 0, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__empty(void) { return PyModuleDef_Init(&kModule); }
