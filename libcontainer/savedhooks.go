package libcontainer

import "github.com/opencontainers/runtime-spec/specs-go"

// savedHooks are the hooks that run after create, as the record keeps them. In
// the specification's own type an empty environment, which is asked for, and
// none, which means rt's, become the same JSON.
type savedHooks struct {
	StartContainer bool        `json:"startContainer,omitzero"` // there are some; the stage knows them
	Poststart      []savedHook `json:"poststart,omitempty"`
	Poststop       []savedHook `json:"poststop,omitempty"`
}

type savedHook struct {
	Path    string    `json:"path"`
	Args    []string  `json:"args,omitempty"`
	Env     *[]string `json:"env,omitzero"`
	Timeout *int      `json:"timeout,omitzero"`
}

// saveHooks is nil when there is nothing to keep.
func saveHooks(h *specs.Hooks) *savedHooks {
	if h == nil || len(h.StartContainer)+len(h.Poststart)+len(h.Poststop) == 0 {
		return nil
	}
	return &savedHooks{StartContainer: len(h.StartContainer) > 0, Poststart: saveHookList(h.Poststart), Poststop: saveHookList(h.Poststop)}
}

func saveHookList(list []specs.Hook) (saved []savedHook) {
	for _, h := range list {
		s := savedHook{Path: h.Path, Args: h.Args, Timeout: h.Timeout}
		if h.Env != nil {
			s.Env = &h.Env
		}
		saved = append(saved, s)
	}
	return saved
}

func hookList(saved []savedHook) (list []specs.Hook) {
	for _, s := range saved {
		h := specs.Hook{Path: s.Path, Args: s.Args, Timeout: s.Timeout}
		if s.Env != nil {
			h.Env = *s.Env
		}
		list = append(list, h)
	}
	return list
}
