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
	call   lane.Call
	answer lane.Answer
	mine   bool // this goroutine still is the one to read
}

// serve answers the calls that are on the lanes of the link at, up to its turn's end.
func (s *small) serve(p *poller) error {
	l := p.at
	p.at = nil
	s.mine = true
	for range maxInTurn {
		found, err := l.server.lanes.Next(&s.call)
		if err != nil {
			p.at = l
			return err
		}
		if !found {
			break
		}
		s.answer.Clear()
		turn := p.begin(nil)
		p.node.cfg.Handler.Answer(&s.call, &s.answer)
		if s.mine = p.ended(turn); !s.mine {
			s.late(l)
			break
		}
		l.server.lanes.Answer(&s.call, &s.answer)
	}
	if s.mine && l.conn.Ready() { // frames have their turn, too
		p.at, p.left = l, maxInTurn
	}
	return nil
}

// late answers a call during which another goroutine took over, which may have ended the connection.
func (s *small) late(l *link) {
	conn := l.conn.(transport.Grouped)
	if conn.Hold() {
		l.server.lanes.Answer(&s.call, &s.answer)
		conn.Release()
	}
}
