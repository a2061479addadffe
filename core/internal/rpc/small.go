package rpc

import (
	"dcf/core/internal/lane"
	"dcf/core/internal/transport"
)

// Lanes gives the lanes on which a small call to the peer can be made at this moment, or nil.
func (p *Peer) Lanes() *lane.Caller {
	if s := p.connected(); s != nil && s.dialled {
		return s.call.Load().caller
	}
	return nil
}

// small serves the calls that come over lanes.
type small struct {
	calls   [lane.MaxTogether]lane.Call
	answers [lane.MaxTogether]lane.Answer
	mine    bool // this goroutine still is the one to read
}

// serve answers the calls that are on the lanes of the link at, up to its turn's end.
func (s *small) serve(p *poller) error {
	l := p.at
	p.at = nil
	s.mine = true
	for range maxInTurn {
		n, err := l.server.lanes.Take(s.calls[:])
		if err != nil {
			p.at = l
			return err
		}
		if n == 0 {
			break
		}
		calls, answers := s.calls[:n], s.answers[:n]
		for i := range answers {
			answers[i].Clear()
		}
		turn := p.begin(nil)
		p.node.cfg.Handler.Answer(calls, answers)
		if s.mine = p.ended(turn); s.mine {
			l.server.lanes.Answer(calls, answers)
			continue
		}
		// Another goroutine took over, which may have ended the connection.
		if conn := l.conn.(transport.Grouped); conn.Hold() {
			l.server.lanes.Answer(calls, answers)
			conn.Release()
		}
		break
	}
	if s.mine && l.conn.Ready() { // frames have their turn, too
		p.at, p.left = l, maxInTurn
	}
	return nil
}
