// Package measure turns what the benchmark drivers print into figures: it reads blocks of
// measurements, computes all statistics in one place, holds each case's bar, and writes tables. It
// runs and times nothing itself.
package measure

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// The series of a case. The floor of a round is Floor + FloorAdd - FloorSubtract, as far as a case
// has them.
const (
	Product       = "product"
	Floor         = "floor"
	FloorAdd      = "floor_add"
	FloorSubtract = "floor_subtract"
)

// Block is a line that a driver prints: some milliseconds of one series. Blocks of equal Round were
// measured one after the other.
type Block struct {
	Case      string    `json:"case"`
	Series    string    `json:"series"`
	Round     int       `json:"round"`
	Threads   int       `json:"threads"`    // that made the calls at once
	Calls     int64     `json:"calls"`      // of all threads
	ElapsedNs int64     `json:"elapsed_ns"` // of the whole block
	Samples   []float64 `json:"samples"`    // nanoseconds a call, in the order of a thread's run
	// Value and Unit are set instead of the above where a case is no time.
	Value *float64 `json:"value"`
	Unit  string   `json:"unit"`
}

// ReadBlocks reads what a driver printed until its output ends.
func ReadBlocks(r io.Reader) ([]Block, error) {
	var blocks []Block
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, MaxBlockBytes)
	for scanner.Scan() {
		var b Block
		if err := json.Unmarshal(scanner.Bytes(), &b); err != nil {
			return nil, fmt.Errorf("measure: line %d of the driver is no block: %w: %.80q",
				len(blocks)+1, err, scanner.Text())
		}
		if err := b.check(); err != nil {
			return nil, fmt.Errorf("measure: line %d of the driver: %w", len(blocks)+1, err)
		}
		blocks = append(blocks, b)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("measure: reading the driver's output: %w", err)
	}
	return blocks, nil
}

// Print writes the block as the line that ReadBlocks reads.
func (b *Block) Print(w io.Writer) error {
	line, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("measure: block of %s: %w", b.Case, err)
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

func (b *Block) check() error {
	if b.Value != nil {
		return nil
	}
	if b.Threads < 1 || b.Calls < 1 || b.ElapsedNs < 1 || len(b.Samples) == 0 || b.Round < 0 {
		return fmt.Errorf("block %d of %s %s measured nothing: "+
			"%d calls by %d threads in %d ns, %d samples", b.Round, b.Case, b.Series, b.Calls,
			b.Threads, b.ElapsedNs, len(b.Samples))
	}
	return nil
}
