// nsenter/early.c shows Go one processor; it need not look again a moment later.
//
//go:debug updatemaxprocs=0

// Command rt is an OCI container runtime: it takes a bundle through create,
// start, kill and delete, as `rt --help` tells.
package main

import (
	"os"

	"rt/internal/cli"
	"rt/libcontainer"
)

func main() {
	status := cli.Main(os.Args, os.Stdout, os.Stderr)
	libcontainer.Dismiss()
	os.Exit(status)
}
