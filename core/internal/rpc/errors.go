package rpc

import (
	"errors"

	"dcf/core/status"
)

// requestError is why a request failed, and whether the peer may have got it all the same.
type requestError struct {
	cause *status.Error
	sent  bool
}

func (e *requestError) Error() string { return e.cause.Error() }
func (e *requestError) Unwrap() error { return e.cause }

// failed wraps the cause of a request's failure.
func failed(cause error, sent bool) error {
	if cause == nil {
		return nil
	}
	return &requestError{status.From(cause), sent}
}

// Sent says whether a request that ended with err may have reached the peer whole, so that its
// effects are unknown. Errors of other packages count as sent.
func Sent(err error) bool {
	if e, ok := errors.AsType[*requestError](err); ok {
		return e.sent
	}
	return true
}
