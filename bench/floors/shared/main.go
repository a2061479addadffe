// Command shared is the library of floors, built with -buildmode=c-shared for programs in C and
// Python. Its exports are declared in floors.h.
package main

import _ "dcf/bench/floors"

func main() {}
