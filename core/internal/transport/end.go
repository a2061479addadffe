package transport

// Drain frees what was received on a connection that has ended. The caller may receive.
func Drain(c Conn) {
	for {
		if _, err := c.Next(0); err != nil {
			return
		}
		c.Skip()
	}
}

// End ends a connection at once and frees what was received. The caller may receive.
func End(c Conn, reason error) {
	c.Abort(reason)
	Drain(c)
}
