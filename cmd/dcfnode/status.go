package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"dcf/core"
)

type statusOptions struct {
	address string
	json    bool
	timeout time.Duration
}

// report is what status prints; its JSON names are for programs, and stay.
type report struct {
	Nodes    []nodeReport   `json:"nodes"`
	Vertices []vertexReport `json:"vertices"`
	Errors   []string       `json:"errors"` // what could not be asked; empty: the report is whole
}

type nodeReport struct {
	Node        uint64       `json:"node"`
	Incarnation uint32       `json:"incarnation"`
	Role        string       `json:"role"` // directory, member or guest
	Alive       bool         `json:"alive"`
	Addresses   []string     `json:"addresses"`
	RoundTripNs int64        `json:"round_trip_ns"` // 0: not measured
	Counters    counters     `json:"counters"`      // of members, by name
	Peers       []peerReport `json:"peers"`         // of members, by node id
}

type peerReport struct {
	Node     uint64   `json:"node"`
	Counters counters `json:"counters"`
}

type counters map[string]int64

type vertexReport struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Owner    uint64 `json:"owner"`
	Version  uint64 `json:"version"`
	Rows     int64  `json:"rows"` // -1: no value
	Bytes    int64  `json:"bytes"`
	Children int    `json:"children"`
	Group    bool   `json:"group"`
}

// status asks a cluster and prints what it answers.
func (p *program) status(o statusOptions) error {
	if err := address(o.address); err != nil {
		return wrong("status %q: %w", o.address, err)
	}
	if o.timeout <= 0 {
		return wrong("--timeout %v: want a duration over 0", o.timeout)
	}
	worker, err := core.Open(core.Options{Join: []string{o.address}, Timeout: o.timeout})
	if err != nil {
		return &failure{exit: exitOf(err), err: err}
	}
	r, err := ask(worker, o.timeout)
	if closeErr := worker.Close(o.timeout); err == nil && closeErr != nil {
		err = closeErr
	}
	if err != nil {
		return &failure{exit: exitFailure, err: err}
	}
	if o.json {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = r.print(p.stdout)
	}
	if err == nil && len(r.Errors) > 0 {
		err = fmt.Errorf("the report is not whole: %s", strings.Join(r.Errors, "; "))
	}
	if err != nil {
		return &failure{exit: exitFailure, err: err}
	}
	return nil
}

// ask gathers the report. What one node cannot tell does not keep the others' from being told.
func ask(worker *core.Worker, timeout time.Duration) (*report, error) {
	nodes, err := worker.Nodes()
	if err != nil {
		return nil, err
	}
	r := &report{Nodes: []nodeReport{}, Vertices: []vertexReport{}, Errors: []string{}}
	for _, n := range nodes {
		if n.Self {
			continue
		}
		report := nodeReport{Node: n.Node, Incarnation: n.Incarnation, Role: role(n),
			Alive: n.Alive, Addresses: append([]string{}, n.Addresses...), Counters: counters{},
			Peers: []peerReport{}}
		if n.Member {
			stats, err := worker.PeerStats(n.Node, timeout)
			if err != nil {
				report.Alive = false
				r.Errors = append(r.Errors, fmt.Sprintf("node %d: %s", n.Node, describe(err)))
			}
			report.take(stats)
		}
		r.Nodes = append(r.Nodes, report)
	}
	r.measure(worker)
	vertices, err := worker.Vertices("")
	if err != nil {
		r.Errors = append(r.Errors, "vertices: "+describe(err))
	}
	for _, v := range vertices {
		r.Vertices = append(r.Vertices, vertexReport{ID: v.ID.String(), Name: v.Name,
			Owner: v.Owner, Version: v.Version, Rows: v.Rows, Bytes: v.Bytes,
			Children: v.Children, Group: v.Group})
	}
	return r, nil
}

// measure adds the round trips, which are known once the nodes were asked.
func (r *report) measure(worker *core.Worker) {
	nodes, err := worker.Nodes()
	if err != nil {
		return
	}
	for _, n := range nodes {
		for i := range r.Nodes {
			if r.Nodes[i].Node == n.Node {
				r.Nodes[i].RoundTripNs = int64(n.RoundTrip)
			}
		}
	}
}

func role(n core.NodeInfo) string {
	switch {
	case n.Directory:
		return "directory"
	case n.Member:
		return "member"
	}
	return "guest"
}

// take sorts counters by the peer that they concern.
func (n *nodeReport) take(stats []core.Stat) {
	for _, s := range stats {
		if s.Peer == 0 {
			n.Counters[s.Name] = s.Value
			continue
		}
		at := slices.IndexFunc(n.Peers, func(p peerReport) bool { return p.Node == s.Peer })
		if at < 0 {
			at = len(n.Peers)
			n.Peers = append(n.Peers, peerReport{Node: s.Peer, Counters: counters{}})
		}
		n.Peers[at].Counters[s.Name] = s.Value
	}
	slices.SortFunc(n.Peers, func(a, b peerReport) int { return cmp.Compare(a.Node, b.Node) })
}
