package specconv

import (
	"fmt"
	"testing"
)

func TestMountLabel(t *testing.T) {
	for label, good := range map[string]bool{
		"system_u:object_r:container_file_t:s0:c715,c811": true,
		`x",exec,"`: false, "x\x00y": false, "x\n": false,
	} {
		s := Example(false)
		s.Linux.MountLabel = label
		err := Validate(s, Host{})
		if want := fmt.Sprintf("linux.mountLabel: %q is no SELinux label", label); good && err != nil || !good && (err == nil || err.Error() != want) {
			t.Errorf("%q: %v", label, err)
		}
	}
}
