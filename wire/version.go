package wire

import (
	"fmt"

	"dcf/core/status"
)

// Version is the version of the protocol that this package speaks: 1.0, the major number in the
// high byte. Peers with equal major numbers understand each other.
const Version uint16 = 0x0100

// SameMajor says whether two versions of the protocol have the same major number.
func SameMajor(a, b uint16) bool { return a>>8 == b>>8 }

// Negotiate chooses the version to speak with the sender of hello: the highest of this package's
// major version that both speak, or status.Unsupported with the text for a Refuse.
func Negotiate(hello *Hello) (uint16, error) {
	lowest := Version &^ 0xff
	highest := min(hello.MaxVersion, Version)
	if hello.MinVersion > hello.MaxVersion || highest < max(hello.MinVersion, lowest) {
		return 0, status.Errorf(status.Unsupported,
			"the peer (node %d) speaks protocol %s to %s, this node %s to %s: upgrade the older one",
			hello.Identity.Node, versionText(hello.MinVersion), versionText(hello.MaxVersion),
			versionText(lowest), versionText(Version))
	}
	return highest, nil
}

func errVersion(version uint16) error {
	return status.Errorf(status.Unsupported,
		"a frame is of protocol %s, this node speaks %s: upgrade the older one",
		versionText(version), versionText(Version))
}

func versionText(version uint16) string {
	return fmt.Sprintf("%d.%d", version>>8, version&0xff)
}
