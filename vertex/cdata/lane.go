package cdata

// #include "lane.h"
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// The sizes of lanes, and the kinds of what travels over them. See lane.h.
const (
	MaxLanes         = C.DCF_LANES
	LanesWatched     = C.DCF_LANES_WATCHED
	LanesBelled      = C.DCF_LANES_BELLED
	LaneRequestBytes = C.DCF_LANE_REQUEST_BYTES
	LaneReplyBytes   = C.DCF_LANE_REPLY_BYTES

	LaneNumberShift = C.DCF_LANE_NUMBER_SHIFT
	LaneKindShift   = C.DCF_LANE_KIND_SHIFT

	LanePatient = C.DCF_LANE_PATIENT
	LaneHurried = C.DCF_LANE_HURRIED

	LaneNothing   = C.DCF_LANE_NOTHING
	LaneBytes     = C.DCF_LANE_BYTES
	LaneFailed    = C.DCF_LANE_FAILED
	LaneElsewhere = C.DCF_LANE_ELSEWHERE
	LaneTree      = C.DCF_LANE_TREE

	LaneAwake   = C.DCF_LANE_AWAKE
	LaneInFutex = C.DCF_LANE_IN_FUTEX
	LaneWake    = C.DCF_LANE_WAKE
)

// LaneRequest is dcf_lane_request.
type LaneRequest struct {
	Word     atomic.Uint64
	Vertex   [16]byte
	Birth    uint64
	Function [16]byte
	Data     [LaneRequestBytes]byte
}

// LaneReply is dcf_lane_reply.
type LaneReply struct {
	Word    atomic.Uint64
	Version uint64
	Data    [LaneReplyBytes]byte
}

// LanePair is dcf_lane_pair.
type LanePair struct {
	Request LaneRequest
	Reply   LaneReply
	Asleep  uint32
	_       [124]byte
}

// LaneArea is dcf_lane_area.
type LaneArea struct {
	Served atomic.Uint32
	_      [124]byte
	Used   atomic.Uint32
	Waker  atomic.Uint32
	_      [120]byte
	Bell   atomic.Uint64
	_      [120]byte
	Lanes  [MaxLanes]LanePair
}

// Lane is dcf_lane.
type Lane struct {
	Holder   atomic.Uint64
	Number   uint64
	Calls    atomic.Uint64
	Sent     atomic.Uint64
	Received atomic.Uint64
	Spun     atomic.Uint64
	_        [16]byte
}

// Lanes is dcf_lanes.
type Lanes struct {
	Area   *LaneArea
	Asleep *uint32
	Node   uint64
	SpinNs int64
	Used   atomic.Uint32
	Ended  atomic.Uint32
	Skip   atomic.Uint32
	Missed atomic.Uint32
	Index  uint32
	Socket int32
	_      [8]byte
	Lanes  [MaxLanes]Lane
}

// The Go structs have the layout of the C ones, or this does not compile.
var (
	_ [C.sizeof_dcf_lane_request]byte = [unsafe.Sizeof(LaneRequest{})]byte{}
	_ [C.sizeof_dcf_lane_reply]byte   = [unsafe.Sizeof(LaneReply{})]byte{}
	_ [C.sizeof_dcf_lane_pair]byte    = [unsafe.Sizeof(LanePair{})]byte{}
	_ [C.sizeof_dcf_lane_area]byte    = [unsafe.Sizeof(LaneArea{})]byte{}
	_ [C.sizeof_dcf_lane]byte         = [unsafe.Sizeof(Lane{})]byte{}
	_ [C.sizeof_dcf_lanes]byte        = [unsafe.Sizeof(Lanes{})]byte{}

	_ [unsafe.Offsetof(C.dcf_lane_request{}.data)]byte = [unsafe.Offsetof(LaneRequest{}.Data)]byte{}
	_ [unsafe.Offsetof(C.dcf_lane_pair{}.asleep)]byte  = [unsafe.Offsetof(LanePair{}.Asleep)]byte{}
	_ [unsafe.Offsetof(C.dcf_lane_area{}.used)]byte    = [unsafe.Offsetof(LaneArea{}.Used)]byte{}
	_ [unsafe.Offsetof(C.dcf_lane_area{}.waker)]byte   = [unsafe.Offsetof(LaneArea{}.Waker)]byte{}
	_ [unsafe.Offsetof(C.dcf_lane_area{}.bell)]byte    = [unsafe.Offsetof(LaneArea{}.Bell)]byte{}
	_ [unsafe.Offsetof(C.dcf_lanes{}.ended)]byte       = [unsafe.Offsetof(Lanes{}.Ended)]byte{}
	_ [unsafe.Offsetof(C.dcf_lanes{}.index)]byte       = [unsafe.Offsetof(Lanes{}.Index)]byte{}
	_ [unsafe.Offsetof(C.dcf_lanes{}.lanes)]byte       = [unsafe.Offsetof(Lanes{}.Lanes)]byte{}
)
