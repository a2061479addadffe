package rpc

import (
	"sync"

	"dcf/core/internal/transport"
	"dcf/wire"
)

// Reply is the answer to a request, and the memory that it lies in. It is reused from request to
// request: the next one, or Clear, ends the use of all that the last answer refers to, and releases
// the batches that are still in it. Who wants to keep a batch takes it out and sets its field to
// nil. The zero Reply is ready.
type Reply struct {
	wire.Reply
	Sent     int64 // bytes of the request's frame
	Received int64 // bytes of the reply's frame

	in *transport.Inbound
}

// inbounds are Inbounds that nobody uses, cleared.
var inbounds = sync.Pool{New: func() any { return new(transport.Inbound) }}

func putInbound(in *transport.Inbound) {
	in.Clear()
	inbounds.Put(in)
}

// Clear releases what the reply holds.
func (r *Reply) Clear() {
	transport.ReleaseBatches(&r.Reply)
	r.Reply = wire.Reply{}
	r.Sent, r.Received = 0, 0
	if r.in != nil {
		putInbound(r.in)
		r.in = nil
	}
}

// adopt makes the received frame the reply. The reply is clear.
func (r *Reply) adopt(in *transport.Inbound) {
	r.in, r.Received = in, in.Bytes
	r.Reply = *in.Frame.Message.(*wire.Reply) // wire gives no other message for this kind
	in.Frame.Message = nil                    // its batches belong to r now
}
