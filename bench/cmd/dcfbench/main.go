// Command dcfbench measures dcf beside what the hardware and the languages charge for the same
// work, and says where the bars are missed. See docs/bench.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"

	"dcf/bench/measure"
)

// The numbers of rounds: blocks of each series of a case.
const (
	defaultRounds = 200
	quickRounds   = 3
)

// options are the command line.
type options struct {
	pattern  *regexp.Regexp
	out      string
	build    string // where the drivers and products lie
	python   string
	rounds   int
	list     bool
	markdown bool
	strict   bool
}

func main() {
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dcfbench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	var o options
	flags := flag.NewFlagSet("dcfbench", flag.ExitOnError)
	pattern := flags.String("bench", "", "run the cases that match this `regexp` only")
	quick := flags.Bool("quick", false, "a few blocks of each case: shows that all run")
	flags.StringVar(&o.out, "out", "", "write one line of JSON a case to this `file`")
	flags.StringVar(&o.build, "build", "build", "the `folder` that make built into")
	flags.StringVar(&o.python, "python", "", "a Python that has dcf; empty: its cases are left out")
	flags.IntVar(&o.rounds, "rounds", defaultRounds, "blocks of each series of a case")
	flags.BoolVar(&o.list, "list", false, "print the cases and their bars, and end")
	flags.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	flags.BoolVar(&o.strict, "strict", false, "fail where an undisturbed case misses its bar")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is no option: see -help", flags.Arg(0))
	}
	if *quick {
		o.rounds = quickRounds
	}
	if o.rounds < 1 {
		return nil, fmt.Errorf("-rounds is %d: at least 1 is needed", o.rounds)
	}
	var err error
	if o.pattern, err = regexp.Compile(*pattern); err != nil {
		return nil, fmt.Errorf("-bench: %w", err)
	}
	return &o, nil
}

func run(o *options) error {
	cases := selected(o)
	if len(cases) == 0 {
		return fmt.Errorf("no case matches %q: see -list", o.pattern)
	}
	if o.list {
		return list(os.Stdout, cases)
	}
	out := io.Discard
	if o.out != "" {
		file, err := os.Create(o.out)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	machine := measure.ThisMachine()
	b := bench{options: o}
	var results []measure.Result
	var failed, missed int
	for _, c := range cases {
		fmt.Fprintf(os.Stderr, "%s ...\n", c.Name)
		r := b.measure(c, machine)
		switch {
		case r.Error != "":
			failed++
		case !r.Pass && !r.Disturbed:
			missed++
		}
		results = append(results, r)
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return fmt.Errorf("writing %s: %w", o.out, err)
		}
	}
	write := measure.WriteTable
	if o.markdown {
		write = measure.WriteMarkdown
	}
	if err := write(os.Stdout, machine, results); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases could not be measured", failed, len(results))
	}
	if o.strict && missed > 0 {
		return fmt.Errorf("%d of %d cases miss their bars", missed, len(results))
	}
	return nil
}

// selected gives the cases to run.
func selected(o *options) []*measure.Case {
	var cases []*measure.Case
	for i := range measure.Cases {
		c := &measure.Cases[i]
		if o.pattern.MatchString(c.Name) && (o.list || o.python != "" || !needsPython(c)) {
			cases = append(cases, c)
		}
	}
	return cases
}

func list(w io.Writer, cases []*measure.Case) error {
	for _, c := range cases {
		if _, err := fmt.Fprintf(w, "%-28s %-20s %s\n", c.Name, c.Limit, c.What); err != nil {
			return err
		}
	}
	return nil
}
