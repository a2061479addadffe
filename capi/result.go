package main

// #include "capi.h"
import "C"

import (
	"unsafe"

	"dcf/core"
	"dcf/core/status"
	"dcf/udf"
	"dcf/vertex/arena"
)

// give writes the results of a call that ran to the caller's call.
func give(call *core.Call, c *C.dcf_call) {
	c.status, c.result_kind, c.result_size = C.DCF_OK, C.DCF_RESULT_NONE, 0
	c.effects = C.uint16_t(call.Effects)
	if call.Ticket != 0 || c.ticket != 0 {
		settle(call, c)
	}
	if c.more != nil {
		giveMore(call, c.more)
	}
	switch {
	case call.Err != nil:
		giveError(c, call.Err)
	case call.Result.Bytes != nil && !call.Result.OffHeap:
		c.result_kind, c.result_size = C.DCF_RESULT_BYTES, C.size_t(len(call.Result.Bytes))
	case call.Result.Bytes != nil || call.Result.Batch != nil || call.Parts != nil:
		if err := giveLarge(call, c); err != nil {
			giveError(c, status.From(err))
		}
	}
}

func giveMore(call *core.Call, more *C.dcf_call_more) {
	more.result_version, more.served_by = C.uint64_t(call.Version), C.uint64_t(call.ServedBy)
	more.served_how, more.served_ns = C.uint32_t(call.ServedHow), C.int64_t(call.ServedFor)
	more.bytes_moved, more.bytes_fetched = C.uint64_t(call.BytesMoved), C.uint64_t(call.BytesFetched)
}

// giveError fills in the error of a call. A message that does not fit in it is the detail, too.
func giveError(c *C.dcf_call, err *status.Error) {
	c.status = fill(c.error, err)
	detail := err.Detail
	if detail == "" && len(err.Message) >= len(C.dcf_error{}.message) {
		detail = err.Message
	}
	if c.more == nil || detail == "" {
		return
	}
	block := arena.Alloc(len(detail))
	copy(block, detail)
	c.more.error_detail = own(c.more, block)
}

// own makes an arena block part of what a call holds.
func own(more *C.dcf_call_more, block []byte) C.dcf_bytes {
	C.dcf_capi_hold(more)
	data := unsafe.Pointer(unsafe.SliceData(block))
	more.private_data[0] = C.uint64_t(uintptr(data))
	more.private_data[1] = C.uint64_t(len(block))
	return C.dcf_bytes{data: data, size: C.size_t(len(block))}
}

// giveLarge moves a result out of the call that does not lie in the caller's buffer.
func giveLarge(call *core.Call, c *C.dcf_call) error {
	more := c.more
	switch {
	case call.Parts != nil:
		c.result_kind = C.DCF_RESULT_PARTS
		if more == nil {
			return invalid("the result is %d parts, as the function has no merge: give the call `more`, "+
				"or the function a merge", len(call.Parts))
		}
		C.dcf_capi_hold(more)
		return giveParts(call, &more.result_parts)
	case call.Result.Batch != nil:
		c.result_kind = C.DCF_RESULT_ARRAY
		if more == nil {
			return invalid("the result is a record batch: give the call `more`")
		}
		C.dcf_capi_hold(more)
		return call.Result.Batch.Export(unsafe.Pointer(&more.result_schema),
			unsafe.Pointer(&more.result_array))
	}
	c.result_kind, c.result_size = C.DCF_RESULT_BYTES, C.size_t(len(call.Result.Bytes))
	if more == nil {
		return invalid("the result has %d bytes and the buffer %d: give a larger buffer, or `more`",
			len(call.Result.Bytes), uint64(c.buffer_size))
	}
	more.result_bytes = own(more, call.Result.Bytes)
	call.Result = udf.Value{}
	return nil
}

// ticket is what a call holds whose effects are unknown: as long as it may be made again, its
// number is not used for another.
type ticket struct {
	udf    *core.UDF
	number uint64
}

var tickets = newTable[ticket](kindTicket, "ticket")

// settle writes the ticket that a call has after a run: none, if it ended; the one by which it can
// be made again, if its effects are unknown. A call that was refused keeps what it had.
func settle(call *core.Call, c *C.dcf_call) {
	switch {
	case call.Ticket == 0:
		c.ticket = 0
		if c.private_data != 0 {
			_, _ = tickets.close(uint64(c.private_data)) // core gave it up
			c.private_data = 0
		}
	case call.Effects == core.EffectsUnknown && c.private_data == 0:
		c.ticket = C.uint64_t(call.Ticket)
		handle, err := tickets.open(&ticket{call.UDF, call.Ticket})
		if err != nil { // MaxHandles: it cannot be made again
			call.Clear()
			c.ticket = 0
		}
		c.private_data = C.uint64_t(handle)
	}
}

// renew gives up the ticket of an earlier run, unless the call is made again with it.
func renew(c *C.dcf_call) {
	if t := tickets.get(uint64(c.private_data)); t == nil || t.number != uint64(c.ticket) {
		forget(uint64(c.private_data))
		c.private_data = 0
	}
}

// forget gives up what a call held for its ticket.
func forget(handle uint64) {
	if t, err := tickets.close(handle); err == nil {
		call := core.Call{UDF: t.udf, Ticket: t.number}
		call.Clear()
	}
}

//export dcf_capi_forget
func dcf_capi_forget(handle C.uint64_t) { forget(uint64(handle)) }
