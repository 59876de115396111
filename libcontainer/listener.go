package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/libcontainer/terminal"
	"rt/nsenter"
)

// listener is where a filter's notifications go (linux.seccomp.listenerPath).
type listener struct {
	Path     string `json:"path"`
	Metadata string `json:"metadata,omitzero"`
}

// sendListener fetches the listener of the filter that init has just loaded and
// hands it to the agent with the state of the container (config-linux.md, "Seccomp").
func (c *Container) sendListener(m *nsenter.Message) error {
	if c.record.Listener == nil {
		return errors.New("linux.seccomp.listenerPath: the filter has a listener, but nobody to send it to")
	}
	number, err := strconv.Atoi(string(bytes.TrimRight(m.Text, "\x00")))
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: the stage named no fd: %w", err)
	}
	pidfd, err := c.openInit()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: %w", os.NewSyscallError("pidfd_getfd", err))
	}
	defer unix.Close(fd)
	container := c.ociState(specs.StateCreating)
	if c.record.Joined != 0 {
		container.Pid, container.Status = c.record.Joined, specs.StateRunning
	}
	state, err := json.Marshal(specs.ContainerProcessState{Version: specs.Version, Fds: []string{specs.SeccompFdName},
		Pid: c.record.Pid, Metadata: c.record.Listener.Metadata, State: container})
	if err != nil {
		return err
	}
	if err := terminal.SendFD(c.record.Listener.Path, string(state), uintptr(fd)); err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: %w", err)
	}
	return nil
}
