package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// version is that of the program; its protocol has versions of its own.
const version = "0.1.0"

// helpColumns is how wide --help is.
const helpColumns = 100

const longHelp = `dcfnode runs functions where the data is: it holds Arrow tables and runs
functions on them for every worker of its cluster. The first node makes a cluster, and is its
directory; the others join it at the address of any node.

Every flag can also be set in the environment (--node-id as DCF_NODE_ID, lists separated by
commas) and in a TOML file (node-id = 2, lists as ["a", "b"]). Flags win over the environment, that
over the file, and the file over the defaults. --print-config shows what came of it.

Once it serves, it prints one line to standard output:
  listening on tcp://127.0.0.1:7411 node 1
Logs go to standard error. SIGTERM or Ctrl-C lets the calls under way finish and stops; a second one
stops at once.`

const exampleHelp = `  # the first node of a cluster, and a second one beside it, on any free port
  dcfnode --node-id 1
  dcfnode --node-id 2 --listen tcp://127.0.0.1:0 --join tcp://127.0.0.1:7411

  # serve a table as the vertex "prices", and one under its file's name
  dcfnode --load prices=/data/2026-11.arrow --load /data/carriers.arrow

  # the same from a file: listen = ["tcp://127.0.0.1:7411"], load = ["prices=/data/2026-11.arrow"]
  dcfnode --config dcfnode.toml

  # what a running cluster holds and does
  dcfnode status tcp://127.0.0.1:7411
  dcfnode status --json | jq .vertices`

const exitHelp = `
Exit codes:
  0  stopped as asked
  1  failed while running, or calls did not end within --shutdown-timeout
  2  wrong flags, configuration or input files
  3  cannot listen, or cannot join
`

func (p *program) rootCommand() *cobra.Command {
	root := p.serveCommand()
	root.Use = "dcfnode [serve]"
	root.Short = "A node of a dcf cluster"
	root.Long, root.Example = longHelp, exampleHelp
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ",
		fmt.Sprintf(".FlagUsagesWrapped %d ", helpColumns)))
	root.SetHelpTemplate(root.HelpTemplate() + "{{if not .HasParent}}" + exitHelp + "{{end}}")

	serve := p.serveCommand()
	serve.Use, serve.Short = "serve", "Serve until told to stop (what dcfnode without a command does)"
	root.AddCommand(serve, p.statusCommand(), p.versionCommand())
	return root
}

func (p *program) serveCommand() *cobra.Command {
	command := &cobra.Command{Args: cobra.NoArgs}
	addFlags(command.Flags())
	command.Flags().SortFlags = false
	command.RunE = func(command *cobra.Command, _ []string) error {
		config, err := loadConfig(command.Flags(), p.environ)
		if err != nil {
			return err
		}
		if show, _ := command.Flags().GetBool(flagPrintConfig); show {
			return config.print(p.stdout)
		}
		return p.serve(config)
	}
	return command
}

func (p *program) statusCommand() *cobra.Command {
	var o statusOptions
	command := &cobra.Command{
		Use:   "status [ADDRESS]",
		Short: "Show the nodes, vertices and counters of a running cluster",
		Long: "status joins the cluster at ADDRESS (default " + defaultAddress + ") as a guest, asks " +
			"every member,\nprints what they answer and leaves.",
		Example: "  dcfnode status\n  dcfnode status unix:///run/dcf.sock --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.address = defaultAddress
			if len(args) == 1 {
				o.address = args[0]
			}
			return p.status(o)
		},
	}
	command.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	command.Flags().DurationVar(&o.timeout, "timeout", 5*time.Second,
		"how long to wait for each answer")
	return command
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			revision := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = ", revision " + s.Value
					}
				}
			}
			_, err := fmt.Fprintf(p.stdout, "dcfnode %s (%s%s)\n", version, runtime.Version(),
				revision)
			return err
		},
	}
}
