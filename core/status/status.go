// Package status is the closed list of errors that dcf reports, with the same meaning at every
// distance. It mirrors the DCF_ codes of include/dcf.h, and a test compares the two.
package status

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is. A Code is itself an error, so that callers
// write errors.Is(err, status.NotFound).
type Code int32

// The codes. Their numbers are part of the ABI and of the wire format.
const (
	OK              Code = 0
	Internal        Code = 1  // a bug in dcf
	InvalidArgument Code = 2  // the request is wrong, whatever the state
	BadHandle       Code = 3  // closed, or never opened
	NotFound        Code = 4  // known not to exist; never a guess
	AlreadyExists   Code = 5  // the name is taken
	Unavailable     Code = 6  // the node that would know cannot be reached
	Timeout         Code = 7  // the deadline passed
	Cancelled       Code = 8  // the caller gave the call up
	Exhausted       Code = 9  // a named limit was reached
	UDFFailed       Code = 10 // the user's code failed; the worker is unharmed
	Unsupported     Code = 11 // not possible here
	Denied          Code = 12 // not permitted to this peer
	Aborted         Code = 13 // a conflict: nothing was applied
	Corrupt         Code = 14 // stored or received data fails its checks
	Interrupted     Code = 15 // the caller's interrupt function said so
)

var names = [...]string{
	"OK", "INTERNAL", "INVALID_ARGUMENT", "BAD_HANDLE", "NOT_FOUND", "ALREADY_EXISTS",
	"UNAVAILABLE", "TIMEOUT", "CANCELLED", "EXHAUSTED", "UDF_FAILED", "UNSUPPORTED", "DENIED",
	"ABORTED", "CORRUPT", "INTERRUPTED",
}

// Count is the number of codes; every code is below it.
const Count = Code(len(names))

// String gives the code's name in the C interface, for example "DCF_TIMEOUT".
func (c Code) String() string {
	if c < 0 || c >= Count {
		return fmt.Sprintf("DCF_STATUS_%d", int32(c))
	}
	return "DCF_" + names[c]
}

// Error makes a Code usable as a target of errors.Is.
func (c Code) Error() string { return c.String() }

// Error is a failure: what happened, where, and what to do about it.
type Error struct {
	Code    Code
	OS      int32    // errno where the cause was a system call, else 0
	Node    uint64   // the node where it happened; 0 is this worker
	Vertex  [16]byte // the vertex that it concerns, or zero
	Message string   // says what to do
	Detail  string   // a traceback or the like, whole; often empty
	cause   error
}

// Errorf makes an Error. A %w verb keeps its cause for errors.Is and errors.As.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error gives the code's name and the message.
func (e *Error) Error() string { return e.Code.String() + ": " + e.Message }

// Is reports whether target is this error's Code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap gives the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// WithVertex names the vertex that the error concerns and gives the error back.
func (e *Error) WithVertex(id [16]byte) *Error {
	e.Vertex = id
	return e
}

// WithDetail attaches a traceback or the like and gives the error back.
func (e *Error) WithDetail(detail string) *Error {
	e.Detail = detail
	return e
}

// From gives err as an *Error: itself where it is or wraps one, else an Internal one around it.
// From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if code, ok := errors.AsType[Code](err); ok {
		return &Error{Code: code, Message: err.Error(), cause: err}
	}
	return &Error{Code: Internal, Message: err.Error(), cause: err}
}

// Of gives err's code: OK for nil, Internal for an error of another kind.
func Of(err error) Code {
	if err == nil {
		return OK
	}
	return From(err).Code
}
