package libcontainer

import (
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/nsenter"
)

// hasEarlyHooks: hooks that run before the pivot find the container's mounts at the root's own path.
func hasEarlyHooks(h *specs.Hooks) bool {
	return h != nil && len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer) > 0 //nolint:staticcheck // deprecated, not gone
}

// hookSteps are the hooks that run before the pivot: prestart and createRuntime
// by rt outside, then createContainer by the stage inside (config.md, "POSIX-platform Hooks").
func (c *compiler) hookSteps() {
	h := c.spec.Hooks
	if h == nil {
		return
	}
	runtime := len(h.Prestart)+len(h.CreateRuntime) > 0 //nolint:staticcheck // prestart is deprecated, not gone
	if runtime {
		c.plan.Add(nsenter.Ask("hooks", "let rt run the prestart and createRuntime hooks", nsenter.AskHooks))
	}
	if len(h.CreateContainer) == 0 {
		return
	}
	c.plan.Add(nsenter.Ask("hooks.createContainer", "take the state for the hooks", nsenter.AskHookFile))
	for i, hook := range h.CreateContainer {
		c.plan.Add(hookStep(fmt.Sprintf("hooks.createContainer[%d]", i), hook, hookEnv(hook, os.Environ()), false))
	}
}

// startHookSteps run just before the program; they get its environment when they have none of their own.
func (c *compiler) startHookSteps() {
	if c.spec.Hooks == nil {
		return
	}
	var env []string
	if c.spec.Process != nil {
		env = c.environment(c.spec.Process)
	}
	for i, hook := range c.spec.Hooks.StartContainer {
		c.plan.Add(hookStep(fmt.Sprintf("hooks.startContainer[%d]", i), hook, hookEnv(hook, env), hook.Env == nil))
	}
}

func hookEnv(h specs.Hook, inherited []string) []string {
	if h.Env == nil {
		return inherited
	}
	return h.Env
}

// hookStep runs a hook in the container; home has the stage add a HOME to env, as to the program's.
func hookStep(from string, h specs.Hook, env []string, home bool) nsenter.Step {
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	timeout := uint64(0)
	if h.Timeout != nil {
		timeout = uint64(*h.Timeout) * 1000
	}
	addHome := uint64(0)
	if home {
		addHome = 1
	}
	return nsenter.Simple(nsenter.OpHook, from, "run "+h.Path+" in the container", []uint64{timeout, addHome}, h.Path, nsenter.List(args), nsenter.List(env))
}

// listenFDs is how many sockets systemd's protocol (sd_listen_fds(3)) hands to us, from fd 3 on.
// LISTEN_PID says for whom they are; with another's pid they are somebody else's.
func listenFDs() int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
