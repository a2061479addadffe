// Command capi is libdcf: the C interface of dcf, as include/dcf.h declares it. An export unpacks
// its arguments, calls core and packs the answer; it decides nothing. Each file holds one noun of
// the header. What can be plain C is, in the .c files, so that it costs no crossing.
package main

// #cgo CFLAGS: -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -I${SRCDIR}/../include -I${SRCDIR}/../udf/native -I${SRCDIR}/../vertex/cdata
// #include "capi.h"
import "C"

import "dcf/core"

// version is "0.1.0+gitsha"; the build sets it.
var version = "0.1.0"

var versionText = C.CString(version)

func main() {}

func init() { core.UseProcessors() }

//export dcf_version
func dcf_version() *C.dcf_char_const { return versionText }

// dcf_capi_set_interrupt is dcf_set_interrupt, whose function pointer Go cannot spell.
//
//export dcf_capi_set_interrupt
func dcf_capi_set_interrupt(check, userData C.uintptr_t) {
	if check == 0 {
		core.SetInterrupt(nil)
		return
	}
	core.SetInterrupt(func() bool { return C.dcf_capi_interrupted(check, userData) != 0 })
}
