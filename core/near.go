package core

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"slices"
	"strings"

	"dcf/core/status"
)

// Workers of one host find shared memory by themselves: each that listens does so at a name of its
// own, too, and says it to whoever dials; see rpc.Config.Near.

// hostID names what such a name reaches: a run of the kernel, and a network namespace of it. Empty:
// it cannot be known.
func hostID() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/net") // "net:[4026531840]"
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + namespace
}

// listenNear serves workers of this host over shared memory. Where that cannot be they use the
// sockets.
func (w *Worker) listenNear() {
	if w.options.NoSharedMemory {
		w.log.Info("shared memory is off")
		return
	}
	if len(w.options.Listen) == 0 {
		return
	}
	var name [16]byte
	_, _ = rand.Read(name[:])
	if err := w.rpc.ListenNear(sharedMemory + "://@dcf-" + hex.EncodeToString(name[:])); err != nil {
		w.log.Warn("workers of this host cannot reach this one over shared memory", "error", err)
	}
}

// checkShared refuses addresses that the options exclude.
func checkShared(o *Options) error {
	for _, address := range slices.Concat(o.Listen, o.Join) {
		if o.NoSharedMemory && strings.HasPrefix(address, sharedMemory+"://") {
			return status.Errorf(status.InvalidArgument, "shared memory is off, which %s needs: leave "+
				"one of the two out", address)
		}
	}
	return nil
}
