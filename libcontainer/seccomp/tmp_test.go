package seccomp
import ("testing";"time";"runtime";"unsafe";"golang.org/x/sys/unix";"github.com/opencontainers/runtime-spec/specs-go";libseccomp "github.com/seccomp/libseccomp-golang")
func attach(p []byte) time.Duration{ch:=make(chan time.Duration);go func(){runtime.LockOSThread();unix.Prctl(unix.PR_SET_NO_NEW_PRIVS,1,0,0,0);
  f:=unix.SockFprog{Len:uint16(len(p)/8),Filter:(*unix.SockFilter)(unsafe.Pointer(&p[0]))};t0:=time.Now();_,_,e:=unix.Syscall(unix.SYS_SECCOMP,1,4,uintptr(unsafe.Pointer(&f)));d:=time.Since(t0);if e!=0{panic(e)};ch<-d}();return <-ch}
func best(p []byte) time.Duration{p=append([]byte(nil),p...);for i:=0;i<len(p);i+=8{if p[i]==6{p[i+4]=0;p[i+5]=0;p[i+6]=0xff;p[i+7]=0x7f}};b:=time.Hour;for i:=0;i<15;i++{if d:=attach(p);d<b{b=d}};return b}
func TestTmp(t *testing.T){
 s:=profile(t,configs+"/docker-default.json")
 f,_:=Compile(s)
 t.Log("full",len(f.Prog)/8,best(f.Prog))
 // complex only
 mux:=map[string]bool{}
 for _,n:=range []string{"socketcall","ipc","socket","bind","connect","listen","accept","getsockname","getpeername","socketpair","send","recv","sendto","recvfrom","shutdown","setsockopt","getsockopt","sendmsg","recvmsg","accept4","recvmmsg","sendmmsg","semop","semget","semctl","semtimedop","msgsnd","msgrcv","msgget","msgctl","shmat","shmdt","shmget","shmctl"}{mux[n]=true}
 for _,withmux:=range []bool{true,false}{
 c:=*s;c.Syscalls=nil
 simple:=map[string]bool{}
 for _,e:=range s.Syscalls{ if len(e.Args)>0{c.Syscalls=append(c.Syscalls,e);continue}; var n []string;for _,x:=range e.Names{if mux[x]&&withmux{n=append(n,x)}else{simple[x]=true}};if n!=nil{e.Names=n;c.Syscalls=append(c.Syscalls,e)}}
 list,_:=profileArchs(&c)
 t0:=time.Now();fl,err:=ruleSet(&c,list);if err!=nil{t.Fatal(err)};m,_:=export(fl);t.Log("complex",withmux,len(m)/8,time.Since(t0),best(m))
 t0=time.Now()
 for _,a:=range list{ ranges:=1;prev:=false; v:=map[uint32]bool{};for n:=range simple{nr,e:=libseccomp.GetSyscallFromNameByArch(n,a.lib);if e==nil&&nr>=0{v[uint32(nr)&^x32Bit]=true}};for i:=uint32(0);i<600;i++{if v[i]!=prev{ranges++;prev=v[i]}};t.Log(a.word,ranges,time.Since(t0))}
 }
 _ = specs.ArchX86
}
