package libcontainer

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/hooks"
	"rt/nsenter"
)

// lockWait is how long a command waits for another one on the same container.
const lockWait = 10 * time.Second

// Start lets the program of a created container run. A program that can't be
// executed is this command's error; the container is then stopped.
func (c *Container) Start() error {
	if err := c.entry.lock(lockWait); err != nil {
		return err
	}
	ch, err := c.waitingStage()
	if err != nil {
		return err
	}
	defer ch.Close()
	n, err := c.listenNotify()
	if err != nil {
		return err
	}
	defer n.close()
	if err := c.release(ch, "", func(*nsenter.Message) {}); err != nil {
		return err
	}
	if err := unix.Unlink(c.entry.path(socketName)); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %s: %w", socketName, err)
	}
	if err := c.poststart(); err != nil {
		return err
	}
	c.entry.unlock() // a service may take its time
	c.awaitReady(n)
	return nil
}

func (c *Container) waitingStage() (*nsenter.Channel, error) {
	if c.record.Creating {
		return nil, errors.New("cannot start a container that is still being created")
	}
	if !c.alive() {
		return nil, ErrStopped
	}
	if frozen, err := cgroups.Load(c.record.Cgroup).Frozen(); err == nil && frozen {
		return nil, errors.New("cannot start a paused container")
	}
	ch, err := c.call()
	if err != nil {
		return nil, ErrStarted
	}
	return ch, nil
}

// release says GO and waits until the program runs: the channel is
// close-on-exec at the other end, so its end is the good news.
func (c *Container) release(ch *nsenter.Channel, home string, trace func(*nsenter.Message)) error {
	var fds []int
	var files hookFiles
	if c.record.Hooks != nil && c.record.Hooks.StartContainer {
		var err error
		if files, err = c.hookFiles(specs.StateCreated); err != nil {
			return err
		}
		defer files.state.Close()
		defer files.output.Close()
		fds = []int{int(files.state.Fd()), int(files.output.Fd())}
	}
	if err := ch.Send(nsenter.MsgGo, 0, home, fds...); err != nil {
		return err
	}
	for {
		m, err := ch.Receive()
		switch {
		case errors.Is(err, nsenter.ErrGone):
			return nil
		case err != nil:
			return err
		case m.Type == nsenter.MsgTrace:
			trace(m)
		case m.Type == nsenter.MsgAsk && nsenter.Question(m.Code) == nsenter.AskSeccomp:
			if err := c.sendListener(m); err != nil {
				return err
			}
			if err := ch.Send(nsenter.MsgContinue, 0, ""); err != nil {
				return err
			}
		default:
			return c.explainStart(m, files)
		}
	}
}

// explainStart words a failure after GO, by what the record keeps of the plan.
func (c *Container) explainStart(m *nsenter.Message, files hookFiles) error {
	if m.Type != nsenter.MsgError {
		return fmt.Errorf("the stage said %d instead of starting", m.Type)
	}
	if err := c.awaitInit(); err != nil { // so that who asks next hears "stopped"
		return err
	}
	err := c.record.latePlan().Failure(m)
	var step *nsenter.StepError
	if errors.As(err, &step) {
		return explainStep(step, files.output)
	}
	return err
}

// poststart hooks run once the program does; a failing one ends the container.
func (c *Container) poststart() error {
	if c.record.Hooks == nil || len(c.record.Hooks.Poststart) == 0 {
		return nil
	}
	err := hooks.Run("poststart", hookList(c.record.Hooks.Poststart), c.ociState(specs.StateRunning))
	if err != nil {
		c.signalInit(unix.SIGKILL)
	}
	return err
}
