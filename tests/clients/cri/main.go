// Command cri speaks the Container Runtime Interface as the kubelet does, for the tests beside it: crictl cannot be had
// from the Go module proxy. It is a module of its own, so that Kubernetes' libraries stay out of rt's.
//
//	cri -a SOCKET call METHOD [JSON]         one call: the request's JSON in, the response's out
//	cri -a SOCKET exec [-i] [-t] ID WORD...  as kubectl exec: streams, a terminal that can be resized, the status
//	cri -a SOCKET attach [-i] [-t] ID
//	cri -a SOCKET forward POD PORT           stdin and stdout become a connection to the port
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"k8s.io/client-go/util/exec"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	address := flag.String("a", "/run/containerd/containerd.sock", "the engine's socket")
	flag.Parse()
	err := run(context.Background(), *address, flag.Args())
	if status := (exec.CodeExitError{}); errors.As(err, &status) {
		os.Exit(status.Code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, args []string) error {
	conn, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if len(args) < 2 {
		return errors.New("a verb and what it is for are needed: call, exec, attach, forward")
	}
	client := runtime.NewRuntimeServiceClient(conn)
	switch verb, args := args[0], args[1:]; verb {
	case "call":
		return call(ctx, conn, args[0], append(args, "{}")[1])
	case "exec", "attach":
		return session(ctx, client, verb, args)
	case "forward":
		return forward(ctx, client, args)
	default:
		return fmt.Errorf("no verb %q", verb)
	}
}

// call finds the method in the descriptors of both services, so that no method needs code of its own.
func call(ctx context.Context, conn *grpc.ClientConn, name, request string) error {
	method, err := find(name)
	if err != nil {
		return err
	}
	in, out := message(method.Input()), message(method.Output())
	if err := protojson.Unmarshal([]byte(request), in); err != nil {
		return err
	}
	if err := conn.Invoke(ctx, fmt.Sprintf("/%s/%s", method.Parent().FullName(), name), in, out); err != nil {
		return err
	}
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(out)
	fmt.Printf("%s\n", text)
	return err
}

func find(name string) (protoreflect.MethodDescriptor, error) {
	for _, service := range []protoreflect.FullName{"runtime.v1.RuntimeService", "runtime.v1.ImageService"} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(service)
		if err != nil {
			return nil, err
		}
		if m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)); m != nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no method %q", name)
}

func message(d protoreflect.MessageDescriptor) proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err) // it stands in the same file as the service
	}
	return kind.New().Interface()
}
