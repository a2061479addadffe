package measure

import "fmt"

// Statistic says what stands for a block in the comparison with the floor.
type Statistic int

// The statistics.
const (
	Median Statistic = iota // of the block's samples
	Mean                    // of the whole block: for threads that mostly wait for their turn
	P99                     // of the block's samples, and so P999: for the tails
	P999
)

// Limit is the bar of a case: one of Times, Rate and AtMost.
type Limit struct {
	// Times: it may take as many times its floor, plus PlusNs.
	Times  float64 `json:"times,omitempty"`
	PlusNs float64 `json:"plus_ns,omitempty"`
	// Rate: it makes as many times the calls a second of its floor, at least.
	Rate float64 `json:"rate,omitempty"`
	// AtMost of its Unit, whatever a floor takes.
	AtMost float64 `json:"at_most,omitempty"`
	Unit   string  `json:"unit,omitempty"` // "ns", "KiB", "MB"
}

// holds says whether what a call took, beside what one of the floor took (0: there is none), is
// within the bar.
func (l Limit) holds(product, floor float64) bool {
	switch {
	case l.Rate > 0:
		return floor > 0 && l.Rate*product <= floor
	case l.Times > 0:
		return floor > 0 && product <= l.Times*floor+l.PlusNs
	default:
		return product <= l.AtMost
	}
}

func (l Limit) String() string {
	switch {
	case l.Rate > 0:
		return fmt.Sprintf("%g times the calls/s", l.Rate)
	case l.PlusNs > 0 && l.Times == 1:
		return "floor + " + duration(l.PlusNs)
	case l.PlusNs > 0:
		return fmt.Sprintf("%g times + %s", l.Times, duration(l.PlusNs))
	case l.Times > 0:
		return fmt.Sprintf("%g times", l.Times)
	case l.Unit == "ns":
		return duration(l.AtMost)
	default:
		return fmt.Sprintf("%g %s", l.AtMost, l.Unit)
	}
}

// Case is one line of the table: what is measured, beside what, and how good it must be.
type Case struct {
	Name string
	What string // in a few words
	// Floor says what the floor is; empty: there is none.
	Floor string
	// ExpectedFloorNs is the floor on a quiet machine of the project's kind; 0: not known.
	ExpectedFloorNs float64
	Statistic       Statistic
	// Every round must keep the bar, beside the floor of the same round; else the median does.
	Every bool
	Limit Limit
}

// The floors, in words, and what they take on a quiet machine of the project's kind (2 virtual
// cores, Zen 4).
const (
	emptyExport    = "C into an empty Go export"
	callback       = "C into Go into a C function and back"
	rustCallback   = "Rust into Go into a Rust function and back"
	twoExports     = emptyExport + " on two threads, plus a call less an export on one thread"
	emptyExportNs  = 50
	callbackNs     = 76
	twoExportsNs   = 65
	pythonEmptyNs  = 110
	pythonBackNs   = 240
	pingOneCPUNs   = 28_500
	pingTwoCPUsNs  = 71_000
	tableOverTCPNs = 15_500_000
	bareRing       = "bare ring, both ends spinning"
	bareRingNs     = 531 // or 160, as its processors happen to be placed
	cClient        = "C client by the same worker"
)

// Cases lists all cases in the order in which they run.
var Cases = []Case{
	{Name: "local/go", What: "Go program, Go function, local vertex",
		Floor: emptyExport, ExpectedFloorNs: emptyExportNs, Limit: Limit{Times: 0.5}},
	{Name: "local/c", What: "C program, C function, local vertex",
		Floor: callback, ExpectedFloorNs: callbackNs, Limit: Limit{Times: 1.6}},
	{Name: "local/c-64", What: "64 calls in one dcf_call_run, one function; per call",
		Floor: callback, ExpectedFloorNs: callbackNs, Limit: Limit{Times: 0.3}},
	{Name: "local/c-64-mixed", What: "the same, four functions in turn; per call",
		Floor: callback, ExpectedFloorNs: callbackNs, Limit: Limit{Times: 0.5}},
	{Name: "local/c-2threads-same", What: "local/c from two threads, one vertex",
		Floor:           twoExports,
		ExpectedFloorNs: twoExportsNs + 70, Limit: Limit{Times: 1.3}},
	{Name: "local/c-2threads-different", What: "local/c from two threads, a vertex each",
		Floor:           twoExports,
		ExpectedFloorNs: twoExportsNs + 70, Limit: Limit{Times: 1.3}},
	{Name: "local/python-c", What: "worker.call with a C function",
		Floor:           "Python extension into an empty Go export, GIL released",
		ExpectedFloorNs: pythonEmptyNs, Limit: Limit{Times: 2.5}},
	{Name: "local/python-python", What: "worker.call with a Python function",
		Floor:           "the same with a Python callback",
		ExpectedFloorNs: pythonBackNs, Limit: Limit{Times: 3}},
	{Name: "async/python", What: "worker.call_async of a short C function, awaited",
		Floor: "the same by worker.call, and a future that is done, awaited",
		Limit: Limit{Times: 1.5}},
	{Name: "async/python-fd", What: "the same of a C function that runs on another thread",
		Floor: "an eventfd that another thread writes when asked, awaited",
		Limit: Limit{Times: 1.5}},
	{Name: "arrow/capsule", What: "a pair of capsules for a batch of 8 rows",
		Floor: "nanoarrow's for the same", Limit: Limit{Times: 1.5}},
	{Name: "arrow/polars", What: "polars.DataFrame of a vertex with 64 MiB of float64",
		Limit: Limit{AtMost: 1, Unit: "KiB copied"}},
	{Name: "import", What: "a Python that imports dcf and makes a call",
		Floor: "a Python that imports an empty extension", Limit: Limit{Times: 1, PlusNs: 40e6}},
	{Name: "local/rust", What: "Rust program, Rust function, local vertex",
		Floor: rustCallback, ExpectedFloorNs: callbackNs, Limit: Limit{Times: 1.6}},
	{Name: "local/rust-64", What: "64 calls in one Calls::run; per call",
		Floor: rustCallback, ExpectedFloorNs: callbackNs, Limit: Limit{Times: 0.3}},
	{Name: "async/rust", What: "an awaited call that is answered at once",
		Floor: "the call that is not awaited", Limit: Limit{Times: 1, PlusNs: 60}},
	{Name: "async/rust-fd", What: "an awaited call that a thread of dcf answers",
		Floor: "an eventfd written by another thread, awaited", Limit: Limit{Times: 1.5}},
	{Name: "tcp/1-one-cpu", What: "a call over TCP, both ends on one processor",
		Floor: "C blocking ping-pong of equal frames", ExpectedFloorNs: pingOneCPUNs,
		Limit: Limit{Times: 1.2}},
	{Name: "tcp/1-two-cpus", What: "a call over TCP, a processor for each end",
		Floor: "C blocking ping-pong of equal frames", ExpectedFloorNs: pingTwoCPUsNs,
		Limit: Limit{Times: 1.2}},
	{Name: "tcp/64", What: "one submit of 64 calls; per call",
		Floor: "64 bare frames written and read at once", Limit: Limit{Times: 2}},
	{Name: "tcp/64-callers", What: "64 calling threads",
		Floor: "64 bare ping-pongs", Statistic: Mean, Limit: Limit{Times: 2.5}},
	{Name: "tcp/fetch-64MiB", What: "a table of 64 MiB from the other process",
		Floor: "bare TCP into warm memory", ExpectedFloorNs: tableOverTCPNs, Limit: Limit{Times: 1.25}},
	{Name: "tcp/put-64MiB", What: "a table of 64 MiB to the other process",
		Floor: "bare TCP into warm memory", ExpectedFloorNs: tableOverTCPNs, Limit: Limit{Times: 1.25}},
	{Name: "tree/graphsum", What: "a read-only GraphSum over two processes",
		Floor: "one bare round trip", Limit: Limit{Times: 1.3, PlusNs: 5000}},
	{Name: "shm/c", What: "a call over shared memory, C to Go; every call timed",
		Floor: bareRing, ExpectedFloorNs: bareRingNs, Limit: Limit{Times: 1, PlusNs: 150}},
	{Name: "shm/c-p99", What: "the same, the slowest in a hundred",
		Floor: bareRing + ": p99", Statistic: P99, Limit: Limit{Times: 2}},
	{Name: "shm/c-p99.9", What: "the same, the slowest in a thousand",
		Floor: bareRing + ": p99.9", Statistic: P999, Limit: Limit{AtMost: 4000, Unit: "ns"}},
	{Name: "shm/c-to-c", What: "shm/c with a function in C",
		Floor: bareRing, ExpectedFloorNs: bareRingNs, Limit: Limit{Times: 1, PlusNs: 150}},
	{Name: "shm/rust", What: "shm/c from Rust", Floor: cClient, Limit: Limit{Times: 1, PlusNs: 20}},
	{Name: "shm/python", What: "shm/c from Python", Floor: cClient, Limit: Limit{Times: 1, PlusNs: 80}},
	{Name: "shm/64-go", What: "64 calls in one dcf_call_run, function in Go; per call",
		Floor: bareRing + ", 64 outstanding", Statistic: Mean, Limit: Limit{Rate: 0.55}},
	{Name: "shm/64-c", What: "the same, function in C; per call",
		Floor: bareRing + ", 64 outstanding", Statistic: Mean, Limit: Limit{Rate: 0.42}},
	{Name: "shm/64-submit-go", What: "one submit of 64 calls, function in Go; per call",
		Floor: bareRing + ", 64 outstanding", Statistic: Mean, Limit: Limit{Rate: 0.55}},
	{Name: "shm/64-submit-c", What: "the same, function in C; per call",
		Floor: bareRing + ", 64 outstanding", Statistic: Mean, Limit: Limit{Rate: 0.42}},
	{Name: "shm/1000-clients", What: "shm/c by one of 1000 clients, the others idle",
		Floor: "another server's only client", Limit: Limit{Times: 1.4}},
	{Name: "shm/1000-clients-32", What: "each call by one of 32 of them at random",
		Floor: "another server's only client", Limit: Limit{Times: 3}},
	{Name: "shm/asleep-one-cpu", What: "a call, both ends asleep, on one processor",
		Floor: "bare ring, both ends in a futex", Limit: Limit{Times: 1.3}},
	{Name: "shm/asleep-two-cpus", What: "the same, a processor for each end",
		Floor: "bare ring, both ends in a futex", Limit: Limit{Times: 1.3}},
	{Name: "shm/oversubscribed", What: "calls beside two busy processes, in every window of 1 s",
		Floor:     "bare ring that spins adaptively, beside the same",
		Statistic: Mean, Every: true, Limit: Limit{Rate: 0.7}},
	{Name: "shm/oversubscribed-longest", What: "the longest of these calls",
		Limit: Limit{AtMost: 100, Unit: "ms"}},
	{Name: "shm/get-64MiB-python", What: "a table of 64 MiB into pyarrow, a process's first",
		Limit: Limit{AtMost: 200_000, Unit: "ns"}},
	{Name: "shm/get-64MiB-python-again", What: "every later one", Limit: Limit{AtMost: 20_000, Unit: "ns"}},
	{Name: "shm/get-64MiB-rust", What: "the same into arrow-rs, a process's first",
		Limit: Limit{AtMost: 200_000, Unit: "ns"}},
	{Name: "shm/get-64MiB-rust-again", What: "every later one",
		Limit: Limit{AtMost: 20_000, Unit: "ns"}},
	{Name: "shm/sum-64MiB", What: "the first full sum of that table",
		Floor: "sum of private memory", Limit: Limit{Times: 3.3}},
	{Name: "shm/sum-64MiB-again", What: "every later one",
		Floor: "sum of private memory", Limit: Limit{Times: 1.05}},
	{Name: "shm/build-64MiB", What: "a table of 64 MiB filled in place and published",
		Floor: "filling two tables of warm private memory in turn", Limit: Limit{Times: 1.1}},
	{Name: "shm/put-64MiB", What: "a table of 64 MiB to the other process, from ordinary memory",
		Floor: "memcpy into warm memory", Limit: Limit{Times: 1.3}},
	{Name: "shm/idle", What: "how often an idle dcfnode with 10 idle clients wakes up",
		Limit: Limit{AtMost: 40, Unit: "wake-ups/s"}},
	{Name: "tree/graphsum-shm", What: "a read-only GraphSum over two processes",
		Floor: bareRing, ExpectedFloorNs: bareRingNs, Limit: Limit{Times: 1, PlusNs: 1000}},
	{Name: "local/put", What: "64 MiB, one column, no copy", Limit: Limit{AtMost: 10_000, Unit: "ns"}},
	{Name: "local/export", What: "the first export of a version, no copy",
		Limit: Limit{AtMost: 10_000, Unit: "ns"}},
	{Name: "local/export-again", What: "every later one", Limit: Limit{AtMost: 1_000, Unit: "ns"}},
	{Name: "memory/calls", What: "resident memory that a million calls add",
		Limit: Limit{AtMost: 1024, Unit: "KiB"}},
	{Name: "memory/calls-tcp", What: "the same of 200,000 calls over TCP, both processes together",
		Limit: Limit{AtMost: 1024, Unit: "KiB"}},
	{Name: "memory/idle-dcfnode", What: "resident memory of an idle dcfnode",
		Limit: Limit{AtMost: 30, Unit: "MiB"}},
	{Name: "size/libdcf", What: "libdcf.so, stripped", Limit: Limit{AtMost: 16, Unit: "MB"}},
	{Name: "size/dcfnode", What: "dcfnode, stripped", Limit: Limit{AtMost: 25, Unit: "MB"}},
}
