package specconv

import "strings"

// mountLabel refuses what would end the label early where mount(2) takes it in quotes. Whether it is a
// label at all, the policy of the machine decides.
func (c *checker) mountLabel() {
	if l := c.linux.MountLabel; strings.ContainsAny(l, "\"\n\x00") {
		c.faults.add("linux.mountLabel", "%q is no SELinux label", l)
	}
}
