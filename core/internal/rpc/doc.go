// Package rpc carries requests to peers and their replies back: correlation, deadlines, windows,
// reconnection, heartbeats. It knows frames and nodes, but no vertex and no function.
package rpc
