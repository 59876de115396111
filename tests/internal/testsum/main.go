// Command testsum runs `go test -json` commands and words what they say: a line
// for every package, the output of every test that failed, the reason of every
// test that was skipped, and as the last line the count of the whole suite.
//
//	testsum go test -json ./... -- go test -json -tags x ./y
//
// It fails when a test failed, when a command failed for any other reason, and
// when a command ran no test at all. Subtests count one by one, a test that has
// subtests does not count besides them.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func main() {
	s := newSuite(os.Stdout)
	for _, argv := range commands(os.Args[1:]) {
		run(s, argv)
	}
	if !s.close() {
		os.Exit(1)
	}
}

// commands splits the arguments at every "--".
func commands(args []string) [][]string {
	var list [][]string
	start := 0
	for i, a := range append(args, "--") {
		if a != "--" {
			continue
		}
		if i > start {
			list = append(list, args[start:i])
		}
		start = i + 1
	}
	return list
}

// run feeds what one command prints to the suite.
func run(s *suite, argv []string) {
	fmt.Fprintln(s.out, "$", strings.Join(argv, " "))
	before := s.sum
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.fault(argv, err.Error())
		return
	}
	s.read(out)
	err = cmd.Wait()
	after := s.sum
	switch {
	case err != nil && after.failed == before.failed:
		s.fault(argv, err.Error())
	case after == before:
		s.fault(argv, "has no test")
	}
}
