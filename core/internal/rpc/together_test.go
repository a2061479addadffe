package rpc

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"dcf/wire"
)

// together is a handler that takes calls in one go.
type together struct {
	*handler
	largest atomic.Int64
	serve   func([]*Request)
}

func (h *together) Together(first, next *Request) bool {
	return first.Call != nil && next.Call != nil
}

func (h *together) Serve(requests []*Request) {
	h.largest.Store(max(h.largest.Load(), int64(len(requests))))
	h.serve(requests)
}

// Requests that are here together are served together, up to a limit and to the first of another
// sort, and each gets its own answer.
func TestTogether(t *testing.T) {
	eachScheme(t, func(t *testing.T, scheme string) {
		h := &together{handler: newHandler(nil)}
		h.serve = func(requests []*Request) {
			for _, r := range requests {
				echo(r)
			}
		}
		_, address := listening(t, scheme, h)
		_, p := dialled(t, address, nil)
		for h.largest.Load() < MaxTogether { // what is here together is a matter of luck
			frames := make([]*wire.Frame, 3*MaxTogether)
			pendings := make([]Pending, len(frames))
			for i := range frames {
				if frames[i] = callFrame([]byte{byte(i)}); i == 2*MaxTogether+3 {
					frames[i] = operationFrame(7, nil)
				}
				require.NoError(t, p.Send(frames[i], &pendings[i], soon()))
			}
			p.Flush()
			for i := range pendings {
				var reply Reply
				require.NoError(t, pendings[i].Wait(&reply))
				if frames[i].Header.Kind == wire.KindCall {
					require.Equal(t, []byte{byte(i)}, reply.Parts[0].Value.Bytes)
				} else {
					require.Equal(t, uint64(7), reply.Version)
				}
				reply.Clear()
			}
		}
		require.Equal(t, int64(MaxTogether), h.largest.Load())
	})
}

// Where serving several takes too long, another goroutine reads on, and each can be cancelled.
func TestTogetherTooLong(t *testing.T) {
	h := &together{handler: newHandler(nil)}
	entered, release := make(chan int, 8), make(chan bool)
	var cancelled atomic.Int32
	h.serve = func(requests []*Request) {
		if string(requests[0].Call.Arguments.Bytes) != "long" {
			echo(requests[0])
			return
		}
		for _, r := range requests {
			r.OnCancel(cancelFunc(func() { cancelled.Add(1) }))
		}
		entered <- len(requests)
		<-release
		for _, r := range requests {
			echo(r)
		}
	}
	_, address := listening(t, "tcp", h)
	_, p := dialled(t, address, nil)
	pendings := make([]Pending, 4)
	for i := range pendings {
		require.NoError(t, p.Send(callFrame([]byte("long")), &pendings[i], soon()))
	}
	p.Flush()
	first := <-entered
	var reply Reply
	if first == len(pendings) { // else the others were served behind it, which is another case
		require.NoError(t, p.Do(callFrame([]byte("short")), &reply, soon()))
		pendings[1].Cancel()
		require.Eventually(t, func() bool { return cancelled.Load() == 1 }, patience, 1)
	}
	close(release)
	for i := range pendings {
		if i != 1 || first != len(pendings) {
			require.NoError(t, pendings[i].Wait(&reply))
		}
	}
	reply.Clear()
}
