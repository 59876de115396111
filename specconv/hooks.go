package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// hookKinds is in the order in which they run.
var hookKinds = [...]string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

func (c *checker) hooks() {
	h := c.spec.Hooks
	if h == nil {
		return
	}
	for i, list := range [len(hookKinds)][]specs.Hook{
		//lint:ignore SA1019 prestart is how Docker 20.10 gets its network
		h.Prestart, h.CreateRuntime, h.CreateContainer, h.StartContainer, h.Poststart, h.Poststop,
	} {
		for j := range list {
			c.hook(index("hooks."+hookKinds[i], j), &list[j])
		}
	}
}

func (c *checker) hook(at string, h *specs.Hook) {
	c.absolute(at+".path", h.Path)
	c.texts(at+".args", h.Args)
	c.texts(at+".env", h.Env)
	if h.Timeout != nil && *h.Timeout <= 0 {
		c.faults.add(at+".timeout", "%d is not above 0", *h.Timeout)
	}
}
