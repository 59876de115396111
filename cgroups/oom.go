package cgroups

import "fmt"

// OOMKills returns how many processes of the cgroup the kernel has killed for want of memory. Where no
// memory controller limits the container, there were none.
func (c *Cgroup) OOMKills() (uint64, error) {
	path, file := "", ""
	if h, ok := c.find("memory"); ok {
		path, file = h.path, "memory.oom_control"
	} else if c.unified.path != "" {
		path, file = c.unified.path, "memory.events"
	} else {
		return 0, nil
	}
	d, err := openDir(path)
	if err != nil {
		return 0, err
	}
	defer d.close()
	text, err := d.read(file)
	if gone(err) {
		return 0, nil // the directory is there: the controller is not enabled in it
	}
	if err != nil {
		return 0, err
	}
	kills, err := keyed(text, "oom_kill")
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", path, file, err)
	}
	return kills, nil
}
