package core

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"slices"
	"strings"

	"dcf/core/status"
	"dcf/vertex/arena"
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

// ShareMemory has large values of vertices lie where others of this host can map them, from now on
// and for the whole process. Open does so for a worker that listens or joins; whoever makes values
// before that calls it first. Where it fails such values are copied to others, which is all.
func ShareMemory(o Options) error {
	if o.NoSharedMemory {
		return nil
	}
	return arena.Share(arena.Options{Bytes: o.SharedLimit, Warm: o.SharedWarm})
}

// listenNear serves workers of this host over shared memory. Where that cannot be they use the
// sockets.
func (w *Worker) listenNear() {
	if w.options.NoSharedMemory {
		w.log.Info("shared memory is off")
		return
	}
	if err := ShareMemory(w.options); err != nil {
		w.log.Warn("what others of this host read is copied to them", "error", err)
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

// checkShared refuses what the options say of shared memory and cannot be.
func checkShared(o *Options) error {
	if o.SharedLimit < 0 || o.SharedWarm < 0 {
		return status.Errorf(status.InvalidArgument, "the limit of shared memory, %d, or what of it is "+
			"warm, %d, is negative", o.SharedLimit, o.SharedWarm)
	}
	for _, address := range slices.Concat(o.Listen, o.Join) {
		if o.NoSharedMemory && strings.HasPrefix(address, sharedMemory+"://") {
			return status.Errorf(status.InvalidArgument, "shared memory is off, which %s needs: leave "+
				"one of the two out", address)
		}
	}
	return nil
}
