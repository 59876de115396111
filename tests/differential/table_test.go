package differential

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// explained is every difference between containers of rt and runc that is meant.
var explained = []explanation{
	{`state \w+ (ociVersion|owner)`, always, "state tells the config's ociVersion and the name of the owner"},
	{`(exec: )?fd 0`, func(d difference) bool {
		return strings.HasPrefix(d.rt, "/dev/null ") && strings.HasPrefix(d.runc, "/dev/null ")
	},
		"runc opens the container's /dev/null for stdin that is the host's; rt hands on what it was given"},
	{`(exec: )?fd [012]`, func(d difference) bool { return strings.HasPrefix(d.runc, "pipe:") },
		"stdio that is a file is handed on as it is by a foreground run; runc copies through pipes"},
	{`(exec: )?keyring`, func(d difference) bool {
		return strings.HasPrefix(d.rt, "keyring;0;0;3f1b0000;_ses.") && strings.HasPrefix(d.runc, "keyring;0;0;3f13000")
	},
		"the session keyring can be searched by its owner in every case, not by everybody in a user namespace"},
	{`exec: keyring is init's`, func(d difference) bool { return d.rt == "true" && d.c.uids != nil }, "exec joins init's session keyring in a user namespace too; runc's gets one of the same name"},
	{`(exec: )?proc status SigBlk`, func(d difference) bool { return d.rt == "0000000000000000" }, "signals that the caller had blocked are not blocked in the container"},
	{`mount /dev/(null|zero|full|tty|random|urandom|fuse) options`, restricted, "a device that is bound keeps nosuid and noexec, as on a /dev of its own"},
	{`(mount|stat) /(proc|sys|data)/\S+( \w+)?`, masked, "what hides a masked path is made in other ways: only that nothing can be read there matters"},
	{`mounts`, func(d difference) bool { return strings.Replace(d.runc, " /data/seen/deep#2", "", 1) == d.rt },
		"runc masks a path below a read-only one twice"},
	{`mount /\S+ propagation`, func(d difference) bool {
		return d.rt == "" && has([]string{"private", "unbindable"}, d.c.Spec.Linux.RootfsPropagation)
	},
		"a private root makes every mount private that does not say otherwise; in runc only the word with an r reaches them"},
	{`mount /p/none(/nested)? propagation`, func(d difference) bool { return d.rt == "master" && d.runc == "shared" },
		"a bind mount is shared with the host if it asks for that, not if only the root does"},
	{`(exec: )?stat /dev/mqueue`, func(d difference) bool { return strings.HasSuffix(d.rt, " 0:0") }, "the root group of a user namespace owns its mqueue as the root user does"},
	{`mount /data/\S+ propagation`, func(d difference) bool { return d.rt == "" }, "what rt mounts itself is private to begin with, and stays so below a shared root"},
	{`(mount|reach) /sys/fs/cgroup(#2)?( options)?`, func(d difference) bool {
		return strings.HasPrefix(d.rt, "ro,") || strings.HasSuffix(d.rt, "Read-only file system")
	}, "the tmpfs that holds the v1 hierarchies is read-only if they are"},
	{`(mount|reach) /sys/fs/cgroup/\S+( options)?`, func(d difference) bool { return d.c.uids != nil && d.c.namespace(specs.CgroupNamespace) == "" },
		"a user namespace without a cgroup namespace gets the hierarchies read-only (CVE-2023-25809)"},
	{`mount /sys/fs/cgroup/systemd(#2)? source`, always, "the source of a cgroup mount says nothing"},
	{`(stat|reach) /(b|new|n|f|m|t|r|p|elsewhere|dev/sub|other)(/.*)?`, func(d difference) bool { return strings.Contains(strings.Join(d.c.caller, " "), "umask") },
		"directories that are made in the root are not made with the caller's umask"},
	{`exec: (umask|proc status Umask)`, func(d difference) bool { return d.rt == "0022" }, "exec's umask is the default like that of create, not its caller's"},
	{`mount /\S+ options`, restricted, "a bind mount keeps the restrictions of its source when it asks for more"},
}

// restricted: rt's mount has all the restrictions of runc's and more.
func restricted(d difference) bool {
	rt, runc := strings.Split(d.rt, ","), strings.Split(d.runc, ",")
	for _, o := range []string{"nosuid", "nodev", "noexec"} {
		rt = slices.DeleteFunc(rt, func(s string) bool { return s == o && !has(runc, o) })
	}
	return strings.Join(rt, ",") == d.runc
}

// masked: the mount is there for a masked path.
func masked(d difference) bool {
	path := strings.Split(strings.Fields(d.field)[1], "#")[0]
	return has(d.c.Spec.Linux.MaskedPaths, path) || path == "/data/dir" || path == "/data/file" // by way of links
}

func has(list []string, item string) bool { return slices.Contains(list, item) }
