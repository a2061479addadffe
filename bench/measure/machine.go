package measure

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine says where and with what a result was measured.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	GCC    string `json:"gcc"`
	Load   string `json:"load"` // averages when the run began
}

// ThisMachine asks the system. What it does not tell is "unknown".
func ThisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version(),
		GCC: "unknown", Load: "unknown"}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = modelName(string(text))
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	if text, err := exec.Command("gcc", "-dumpfullversion").Output(); err == nil {
		m.GCC = strings.TrimSpace(string(text))
	}
	return m
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, Linux %s, %s, gcc %s, load %s", m.CPU, m.Cores, m.Kernel, m.Go,
		m.GCC, m.Load)
}

// modelName finds the processor's name, family and model in the text of /proc/cpuinfo: a virtual
// machine often hides the name's number, and family and model still tell generations apart.
func modelName(text string) string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			if name = strings.TrimSpace(name); fields[name] == "" {
				fields[name] = strings.TrimSpace(value)
			}
		}
	}
	if fields["model name"] == "" {
		return "unknown"
	}
	if fields["cpu family"] == "" {
		return fields["model name"]
	}
	return fmt.Sprintf("%s (family %s, model %s)", fields["model name"], fields["cpu family"],
		fields["model"])
}
