// Command rt is an OCI container runtime: it takes a bundle through create,
// start, kill and delete, as `rt --help` tells.
package main

import (
	"os"

	"rt/internal/cli"
	"rt/libcontainer"
)

func main() {
	libcontainer.Unpin()
	status := cli.Main(os.Args, os.Stdout, os.Stderr)
	libcontainer.Dismiss()
	os.Exit(status)
}
