package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// session is exec or attach: the engine answers with an address, and all else goes over that.
func session(ctx context.Context, client runtime.RuntimeServiceClient, verb string, args []string) error {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	stdin, tty := flags.Bool("i", false, "stdin"), flags.Bool("t", false, "a terminal")
	if err := flags.Parse(args); err != nil {
		return err
	}
	address, err := sessionAddress(ctx, client, verb, flags.Args(), *stdin, *tty)
	if err != nil {
		return err
	}
	executor, err := dial(address)
	if err != nil {
		return err
	}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Tty: *tty}
	if *stdin {
		options.Stdin = os.Stdin
	}
	if !*tty {
		options.Stderr = os.Stderr
		return executor.StreamWithContext(ctx, options)
	}
	return onTerminal(func() error {
		options.TerminalSizeQueue = newSizes()
		return executor.StreamWithContext(ctx, options)
	})
}

func sessionAddress(ctx context.Context, client runtime.RuntimeServiceClient, verb string, args []string, stdin, tty bool) (string, error) {
	if verb == "attach" {
		res, err := client.Attach(ctx, &runtime.AttachRequest{
			ContainerId: args[0], Stdin: stdin, Tty: tty, Stdout: true, Stderr: !tty})
		return res.GetUrl(), err
	}
	res, err := client.Exec(ctx, &runtime.ExecRequest{
		ContainerId: args[0], Cmd: args[1:], Stdin: stdin, Tty: tty, Stdout: true, Stderr: !tty})
	return res.GetUrl(), err
}

func dial(address string) (remotecommand.Executor, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewSPDYExecutor(&rest.Config{}, http.MethodPost, target)
}

// onTerminal makes our terminal raw for the time.
func onTerminal(do func() error) error {
	fd := int(os.Stdin.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return err
	}
	return errors.Join(do(), term.Restore(fd, before))
}

// sizes is our terminal's size, now and whenever it changes.
type sizes chan os.Signal

func newSizes() sizes {
	s := make(sizes, 1)
	signal.Notify(s, syscall.SIGWINCH)
	s <- syscall.SIGWINCH
	return s
}

func (s sizes) Next() *remotecommand.TerminalSize {
	<-s
	width, height, err := term.GetSize(int(os.Stdin.Fd()))
	if err != nil {
		return nil
	}
	return &remotecommand.TerminalSize{Width: uint16(width), Height: uint16(height)}
}

// forward is one connection of `kubectl port-forward`.
func forward(ctx context.Context, client runtime.RuntimeServiceClient, args []string) error {
	if len(args) != 2 {
		return errors.New("forward POD PORT")
	}
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	res, err := client.PortForward(ctx, &runtime.PortForwardRequest{PodSandboxId: args[0], Port: []int32{int32(port)}})
	if err != nil {
		return err
	}
	target, err := url.Parse(res.Url)
	if err != nil {
		return err
	}
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{})
	if err != nil {
		return err
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return err
	}
	defer conn.Close()
	return relay(conn, args[1])
}

// relay opens the two streams of a connection to the port, one for the engine's error and one for the bytes.
func relay(conn httpstream.Connection, port string) error {
	open := func(kind string) (httpstream.Stream, error) {
		return conn.CreateStream(http.Header{"Streamtype": {kind}, "Port": {port}, "Requestid": {"1"}})
	}
	faults, err := open("error")
	if err != nil {
		return err
	}
	faults.Close() // nothing goes there from here
	data, err := open("data")
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(data, os.Stdin)
		data.Close()
	}()
	if _, err := io.Copy(os.Stdout, data); err != nil {
		return err
	}
	text, err := io.ReadAll(faults)
	if err == nil && len(text) > 0 {
		err = errors.New(string(text))
	}
	return err
}
