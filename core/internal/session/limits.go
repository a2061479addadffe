package session

import "time"

const (
	// HelloTimeout is how long a peer may take to introduce itself.
	HelloTimeout = 5 * time.Second
	// MaxHelloBytes is the size of the header of a Hello or Refuse.
	MaxHelloBytes = 128 << 10
)
