package coverage

// claim says of one or more fields of the specification, or of values that a field can have, what rt does with them and
// which tests see it, from inside the container or in what the kernel says.
type claim struct {
	fields string // separated by spaces; a{b,c} stands for ab and ac
	values string // for a row about values: separated by spaces
	does   string
	tests  string // separated by spaces, as package named has them; "_" in a subtest's name is a space
	needs  string // of the kernel or the machine, beyond Linux 5.14 with cgroup v1 or v2; a row whose effect only unit tests see says why
}

var claims = []claim{
	{"ociVersion", "", "1.x is taken, with any x, anything else refused", "integration.TestNewerMinorVersionIsTolerated integration.TestBadConfigs specconv.TestValidateTop", ""},

	{"process.terminal", "", "a pseudo terminal of the container's own devpts, handed over through the console socket or relayed", "integration.TestConsoleSocket integration.TestRunWithTerminal", ""},
	{"process.consoleSize.{height,width}", "", "the size of that terminal; ignored without one", "integration.TestConsoleSize integration.TestExecConsoleSize", ""},
	{"process.user.{uid,gid,umask,additionalGids}", "", "numbers and nothing but, set after the groups; without a umask 0022, as runc (the text: the caller's)", "integration.TestUser integration.TestUmaskDefault integration.TestExecUser", ""},
	{"process.args", "", "the first is searched in the container's PATH, and missing programs are errors that engines know", "integration.TestProgramIsFound integration.TestProgramIsNotFound integration.TestStartReportsAFailedExec", ""},
	{"process.env", "", "as given, the last of equal names wins; HOME is filled in from the container's passwd", "integration.TestEnvironment", ""},
	{"process.cwd", "", "made if missing, entered as the user, and proven to be in the container", "integration.TestWorkingDirectory integration.TestWorkingDirectoryThroughDescriptors", ""},
	{"process.capabilities.{bounding,effective,inheritable,permitted,ambient}", "", "the five sets, as given; what the kernel does not know or rt cannot give is a warning", "integration.TestCapabilitySets integration.TestEveryCapability integration.TestUnknownCapabilityIsAWarning integration.TestCapabilityThatCannotBeGrantedIsAWarning", ""},
	{"process.capabilities", "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE " +
		"CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE " +
		"CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL " +
		"CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE",
		"each alone, in all five sets", "integration.TestEveryCapability", "what the caller itself may have"},
	{"process.rlimits[].{type,soft,hard}", "", "set last, just before the program; duplicates are refused", "integration.TestRlimits integration.TestRlimitAboveTheHardLimitIsAnError specconv.TestValidateProcess", ""},
	{"process.rlimits[].type", "RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE RLIMIT_LOCKS RLIMIT_MEMLOCK RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_NOFILE RLIMIT_NPROC " +
		"RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING RLIMIT_STACK", "all sixteen that the kernel has", "integration.TestRlimits", "CAP_SYS_RESOURCE to raise a hard limit"},
	{"process.noNewPrivileges", "", "the bit, before the filter", "integration.TestNoNewPrivileges integration.TestSeccompWithNoNewPrivilegesOff", ""},
	{"process.apparmorProfile", "", "applied at execve, exec's processes have it too; refused where AppArmor is not", "integration.TestAppArmor integration.TestAppArmorOfExec integration.TestAppArmorProfileIsUnknown integration.TestLabelsNeedTheirModule", "AppArmor"},
	{"process.selinuxLabel", "", "applied at execve; refused where SELinux is not", "integration.TestLabelsNeedTheirModule libcontainer.TestSelinuxSteps", "SELinux; here only the refusal and the plan are seen"},
	{"process.oomScoreAdj", "", "written; left alone if not given", "integration.TestOOMScore integration.TestOOMScoreUnset", ""},
	{"process.scheduler.{policy,nice,priority,flags,runtime,deadline,period}", "", "sched_setattr(2), read back; exec's processes have it too", "integration.TestScheduler integration.TestExecIsScheduledAsTheContainer", ""},
	{"process.scheduler.policy", "SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_IDLE SCHED_DEADLINE", "as the kernel shows it", "integration.TestScheduler", "real-time: time in the cgroup, with CONFIG_RT_GROUP_SCHED"},
	{"process.scheduler.policy", "SCHED_ISO", "passed on, refused by every kernel so far", "integration.TestSchedulerRefused", "a Linux that has it"},
	{"process.scheduler.flags", "SCHED_FLAG_RESET_ON_FORK SCHED_FLAG_RECLAIM SCHED_FLAG_DL_OVERRUN SCHED_FLAG_KEEP_POLICY SCHED_FLAG_KEEP_PARAMS", "as the kernel shows them", "integration.TestScheduler", ""},
	{"process.scheduler.flags", "SCHED_FLAG_UTIL_CLAMP_MIN SCHED_FLAG_UTIL_CLAMP_MAX", "a clamp that holds nothing back, as the specification has no value for it", "integration.TestSchedulerClamps", "CONFIG_UCLAMP_TASK"},
	{"process.ioPriority.{class,priority}", "", "ioprio_set(2), read back; exec's processes have it too", "integration.TestIOPriority integration.TestExecIsScheduledAsTheContainer", ""},
	{"process.ioPriority.class", "IOPRIO_CLASS_RT IOPRIO_CLASS_BE IOPRIO_CLASS_IDLE", "each", "integration.TestIOPriority", ""},
	{"process.execCPUAffinity.{initial,final}", "", "of exec: before it joins the cgroup, and after; without final the kernel decides", "integration.TestExecCPUAffinity integration.TestExecCPUAffinityOrder", ""},

	{"root.path", "", "absolute or relative to the bundle, and a directory", "integration.TestRootPath", ""},
	{"root.readonly", "", "the root is read-only, once all is mounted; /dev/shm and the like are not", "integration.TestReadonlyRoot integration.TestReadonlyRootWithTerminal", ""},
	{"hostname domainname", "", "set in the container's uts namespace; refused without one", "integration.TestHostnameAndDomainname integration.TestBadConfigs", ""},

	{"mounts[].{destination,type,source,options}", "", "in order, each attached to a descriptor below the root; the target is made if missing", "integration.TestBindOfFiles integration.TestMountOrder integration.TestMountTargetThroughSymlink integration.TestRelativeMountDestination integration.TestTmpfs", ""},
	{"mounts[].{uidMappings,gidMappings}[].{containerID,hostID,size}", "", "an id-mapped bind mount, by a user namespace made for it", "integration.TestIdmappedBindMount integration.TestIDMapOptions integration.TestIDMapFaults", "id-mapping of the filesystem: tmpfs from 6.3"},
	{"mounts[].options", "bind rbind", "the mount alone, or with what is below it", "integration.TestBindMountsOfMounts", ""},
	{"mounts[].options", "remount", "changes what is there", "integration.TestRemountOption", ""},
	{"mounts[].options", "ro rw nosuid suid nodev dev noexec exec nodiratime diratime nosymfollow symfollow noatime atime relatime norelatime strictatime nostrictatime defaults",
		"flags of the mount: set, taken away from a bind's source, the last of two wins", "integration.TestMountOptionsOfAFilesystem integration.TestMountOptionsOfABind integration.TestBindKeepsTheFlagsOfItsSource", ""},
	{"mounts[].options", "rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime rdiratime rnosymfollow rsymfollow rnoatime ratime rrelatime rnorelatime rstrictatime rnostrictatime",
		"the same for the mount and all below it", "integration.TestRecursiveMountOptions", ""},
	{"mounts[].options", "sync async dirsync lazytime nolazytime nomand silent loud noiversion", "flags of the filesystem", "integration.TestSuperblockOptions", ""},
	{"mounts[].options", "mand iversion", "passed on, for the kernel to take or to refuse", "integration.TestOldSuperblockOptions", ""},
	{"mounts[].options", "private rprivate slave rslave shared rshared unbindable runbindable", "propagation of the mount, or of the tree", "integration.TestPropagationOptions integration.TestPropagation", ""},
	{"mounts[].options", "idmap ridmap", "id-mapped by the mount's mappings or the container's; the mount, or the tree", "integration.TestIDMapOptions", "id-mapping of the filesystem: tmpfs from 6.3"},
	{"mounts[].options", "tmpcopyup", "a new tmpfs begins with what the image has in its place", "integration.TestTmpfs integration.TestTmpCopyUpOfHostileFiles", ""},

	{"hooks.{prestart,createRuntime,createContainer,startContainer,poststart,poststop}[].{path,args,env,timeout}", "",
		"each kind at its time, in its namespaces, with the state on stdin; failures end the container, those of poststop are warnings",
		"integration.TestHookOrder integration.TestHookGetsTheState integration.TestHookNamespaces integration.TestHookEnvironmentAndArguments integration.TestHookFailure " +
			"integration.TestHooksAfterAFailure integration.TestHookTimeout integration.TestHookTimeoutOfTheLastKinds integration.TestMissingHookProgram", ""},
	{"annotations", "", "in the state, for hooks and callers; org.systemd.property.* go to the unit", "integration.TestStateDocument integration.TestHookGetsTheState integration.TestSystemdErrors", ""},

	{"linux.{uidMappings,gidMappings}[].{containerID,hostID,size}", "", "the maps of the new user namespace", "integration.TestIDMaps integration.TestRootlessIDRanges", ""},
	{"linux.sysctl", "", "written below /proc/sys of a procfs that is mounted nowhere; only what a namespace of the container owns", "integration.TestSysctl integration.TestNetDeviceSysctl integration.TestBadConfigs", ""},
	{"linux.resources.devices[].{allow,type,major,minor,access}", "", "v1: devices.allow and .deny; v2: one eBPF program; the later rule wins", "integration.TestDeviceRules integration.TestDeviceRuleTypes cgroups.TestDeviceProgramInForce", ""},
	{"linux.resources.devices[].type", "a b c", "all, block and character devices", "integration.TestDeviceRuleTypes", ""},
	{"linux.resources.memory.{limit,reservation,swap}", "", "the limit is felt; v2 counts swap by itself", "integration.TestCgroupV1LimitFiles integration.TestCgroupV2LimitFiles integration.TestMemoryLimitKills integration.TestUpdateResources", ""},
	{"linux.resources.memory.{kernel,kernelTCP,useHierarchy}", "", "NOT RECOMMENDED: kernel is given while the kernel takes it, kernelTCP on v1, the hierarchy is always on", "integration.TestOldMemoryFields", "cgroup v1"},
	{"linux.resources.memory.{swappiness,disableOOMKiller}", "", "v1; refused on v2, which has neither", "integration.TestCgroupV1LimitFiles cgroups.TestLimitsOnlyV1", "cgroup v1"},
	{"linux.resources.memory.checkBeforeUpdate", "", "v2: a limit below what is used is refused, where the kernel would kill; v1 refuses by itself", "integration.TestMemoryCheckBeforeUpdate cgroups.TestCheckBeforeUpdate", "cgroup v2"},
	{"linux.resources.cpu.{shares,quota,period,burst,idle}", "", "the quota is felt; shares become weights on v2", "integration.TestCgroupV1LimitFiles integration.TestCgroupV2LimitFiles integration.TestCPUQuotaHolds", "burst: 5.14, idle: 5.15"},
	{"linux.resources.cpu.{realtimeRuntime,realtimePeriod}", "", "v1; refused on v2, which has neither", "integration.TestRealtimeLimits integration.TestScheduler cgroups.TestLimitsOnlyV1", "cgroup v1 with CONFIG_RT_GROUP_SCHED"},
	{"linux.resources.cpu.{cpus,mems}", "", "what the process may run on, as it sees it", "integration.TestCpusetHolds integration.TestCgroupV2LimitFiles", ""},
	{"linux.resources.pids.limit", "", "felt; -1 is no limit, 0 is none but the first", "integration.TestPidsLimitHolds integration.TestCgroupV1LimitFiles integration.TestCgroupV2LimitFiles", ""},
	{"linux.resources.blockIO.weight", "", "BFQ's weight, or io.weight on v2", "integration.TestBlockIOWeight cgroups.TestLimits", "BFQ"},
	{"linux.resources.blockIO.weightDevice[].{major,minor,weight}", "", "the weight for one device; refused without the scheduler for it", "integration.TestBlockIOWeightsRefused integration.TestCgroupV2DeviceWeight cgroups.TestLimits", "a device under BFQ: the VM's"},
	{"linux.resources.blockIO.{leafWeight,weightDevice[].leafWeight}", "", "v1 with CFQ; refused by name elsewhere", "integration.TestBlockIOWeightsRefused cgroups.TestLimitsOnlyV1", "CFQ, gone in 5.0"},
	{"linux.resources.blockIO.{throttleReadBpsDevice,throttleWriteBpsDevice,throttleReadIOPSDevice,throttleWriteIOPSDevice}[].{major,minor,rate}", "",
		"a line for each device", "integration.TestBlkioThrottling integration.TestCgroupV2IO", "a block device"},
	{"linux.resources.hugepageLimits[].{pageSize,limit}", "", "of use, and of reservations where the kernel has that; v1, v2, and in the cgroup2 tree of a hybrid", "integration.TestHugetlbLimit integration.TestCgroupV2LimitFiles cgroups.TestRealHugetlb", "huge pages of that size"},
	{"linux.resources.network.classID linux.resources.network.priorities[].{name,priority}", "", "v1's net_cls and net_prio; refused without them", "integration.TestNetworkControllers integration.TestLimitsWithoutTheirController", "cgroup v1 with net_cls, net_prio"},
	{"linux.resources.rdma[].{hcaHandles,hcaObjects}", "", "a line of rdma.max for each adapter; refused without the controller", "integration.TestLimitsWithoutTheirController integration.TestRdmaOfAnUnknownDevice integration.TestCgroupV2Rdma cgroups.TestLimits", "an RDMA adapter: the VM has one in software"},
	{"linux.resources.unified", "", "written file by file, after all translated limits; names that leave the cgroup are refused", "integration.TestCgroupV2LimitFiles cgroups.TestLimitsUnified integration.TestBadConfigs", "cgroup v2"},
	{"linux.cgroupsPath", "", "the same path in every hierarchy, relative ones below the caller's; slice:prefix:name with systemd", "integration.TestCgroupPath integration.TestRelativeCgroupPath integration.TestSystemdNames", ""},
	{"linux.namespaces[].{type,path}", "", "made, joined, or shared with the caller", "integration.TestAllNamespacesNew integration.TestNoNamespaceIsNewUnasked integration.TestJoinNamespacesByPath integration.TestNamespacePathFaults", ""},
	{"linux.namespaces[].type", "pid network mount ipc uts user cgroup time", "each, new and joined", "integration.TestAllNamespacesNew integration.TestJoinNamespacesByPath", ""},
	{"linux.devices[].{path,type,major,minor,fileMode,uid,gid}", "", "mknod, or a bind of the host's node in a user namespace; the usual ones are always there", "integration.TestDevices integration.TestDefaultDevices integration.TestDevicesInAUserNamespace", ""},
	{"linux.devices[].type", "c u b p", "character, unbuffered, block, pipe", "integration.TestDevices", ""},
	{"linux.netDevices[].name", "", "moved with its addresses, renamed, set up; given back when create fails", "integration.TestNetDevices integration.TestNetDeviceKeepsIPv6 integration.TestNetDeviceFaults integration.TestNetDevicesComeBack", ""},
	{"linux.seccomp.{defaultAction,defaultErrnoRet,architectures,flags}", "", "one program, made by libseccomp, loaded last; calls that the profile is too old for get ENOSYS",
		"integration.TestSeccompDefaultActions integration.TestSeccompENOSYSForNewSyscalls integration.TestSeccompArchitectures integration.TestSeccompFlags", ""},
	{"linux.seccomp.defaultAction", "SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_TRAP SCMP_ACT_ERRNO SCMP_ACT_TRACE SCMP_ACT_ALLOW SCMP_ACT_LOG",
		"what is not named ends so", "integration.TestSeccompDefaultActions", ""},
	{"linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY", "refused: the very calls that hand the listener over would wait", "specconv.TestValidateSeccomp", "nothing: it is a refusal, before any container"},
	{"linux.seccomp.architectures", "SCMP_ARCH_X86 SCMP_ARCH_X86_64 SCMP_ARCH_X32 SCMP_ARCH_ARM SCMP_ARCH_AARCH64 SCMP_ARCH_MIPS SCMP_ARCH_MIPS64 SCMP_ARCH_MIPS64N32 SCMP_ARCH_MIPSEL " +
		"SCMP_ARCH_MIPSEL64 SCMP_ARCH_MIPSEL64N32 SCMP_ARCH_PPC SCMP_ARCH_PPC64 SCMP_ARCH_PPC64LE SCMP_ARCH_S390 SCMP_ARCH_S390X SCMP_ARCH_PARISC SCMP_ARCH_PARISC64 SCMP_ARCH_RISCV64 " +
		"SCMP_ARCH_LOONGARCH64 SCMP_ARCH_M68K SCMP_ARCH_SH SCMP_ARCH_SHEB", "those of the machine's byte order are taken, the others refused by name", "integration.TestSeccompArchitectures integration.TestSeccompOn32BitCalls seccomp.TestArchitectures", "LoongArch, m68k, SuperH: libseccomp 2.6"},
	{"linux.seccomp.flags", "SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
		"as seccomp(2) is given them; TSYNC is so by itself with one thread; without a list SPEC_ALLOW", "integration.TestSeccompFlags integration.TestSeccompFlagWithoutItsListener", "WAIT_KILLABLE_RECV: 5.19"},
	{"linux.seccomp.{listenerPath,listenerMetadata}", "", "the agent gets the descriptor with the state, and its answer is the call's result", "integration.TestSeccompAgent integration.TestSeccompListenerPath integration.TestExecUnderANotifyingFilter", ""},
	{"linux.seccomp.syscalls[].{names,action,errnoRet}", "", "a rule for each name; names that nobody knows are skipped", "integration.TestSeccompErrno integration.TestSeccompKill integration.TestSeccompTrace", ""},
	{"linux.seccomp.syscalls[].action", "SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_TRAP SCMP_ACT_ERRNO SCMP_ACT_TRACE SCMP_ACT_ALLOW SCMP_ACT_LOG SCMP_ACT_NOTIFY",
		"each as a call of the container feels it", "integration.TestSeccompKill integration.TestSeccompErrno integration.TestSeccompTrace integration.TestSeccompENOSYSForNewSyscalls integration.TestSeccompAgent", ""},
	{"linux.seccomp.syscalls[].args[].{index,value,valueTwo,op}", "", "conditions on arguments; two on one argument are two rules", "integration.TestSeccompArguments", ""},
	{"linux.seccomp.syscalls[].args[].op", "SCMP_CMP_NE SCMP_CMP_LT SCMP_CMP_LE SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_MASKED_EQ", "values on both sides of each", "integration.TestSeccompArguments", ""},
	{"linux.rootfsPropagation", "", "slave: the host's later mounts arrive; shared: a peer group of the container's own", "integration.TestRootfsPropagationTravels integration.TestRootfsPropagation integration.TestUnbindableRoot", ""},
	{"linux.rootfsPropagation", "private rprivate slave rslave shared rshared unbindable runbindable", "each; the r forms are engines'", "integration.TestRootfsPropagationTravels integration.TestUnbindableRoot", ""},
	{"linux.maskedPaths linux.readonlyPaths", "", "covered by one empty directory and a true /dev/null; what is not there is skipped", "integration.TestMaskedAndReadonlyPaths integration.TestMaskSourceIsNotTheImages", ""},
	{"linux.mountLabel", "", "the context of every new filesystem; refused where SELinux is not", "integration.TestLabelsNeedTheirModule integration.TestMountLabel rootfs.TestMountLabel", "SELinux; here only the refusal and the plan are seen"},
	{"linux.intelRdt.{closID,schemata,l3CacheSchema,memBwSchema,enableMonitoring}", "", "a group in resctrl, made or shared; refused where it is not mounted",
		"integration.TestIntelRdtNeedsResctrl integration.TestIntelRdtGroup intelrdt.TestOwnGroup intelrdt.TestSharedGroupIsThere intelrdt.TestDefaultGroup intelrdt.TestMonitoringFails", "resctrl; here a directory stands for it"},
	{"linux.memoryPolicy.{mode,nodes,flags}", "", "set_mempolicy(2), read back; nodes beyond the machine's are refused, however high", "integration.TestMemoryPolicy integration.TestMemoryPolicyNodes libcontainer.TestNumberMask", ""},
	{"linux.memoryPolicy.mode", "MPOL_DEFAULT MPOL_BIND MPOL_INTERLEAVE MPOL_WEIGHTED_INTERLEAVE MPOL_PREFERRED MPOL_PREFERRED_MANY MPOL_LOCAL", "each", "integration.TestMemoryPolicy", "PREFERRED_MANY: 5.15, WEIGHTED_INTERLEAVE: 6.9"},
	{"linux.memoryPolicy.flags", "MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES", "each", "integration.TestMemoryPolicy", ""},
	{"linux.personality.domain", "", "personality(2)", "integration.TestPersonalityDomains integration.TestPersonality", ""},
	{"linux.personality.domain", "LINUX LINUX32", "uname(2) tells", "integration.TestPersonalityDomains", ""},
	{"linux.personality.flags", "", "refused: the specification has none yet", "integration.TestPersonalityFlags", ""},
	{"linux.timeOffsets[].{secs,nanosecs}", "", "written before anything is born in the time namespace", "integration.TestTimeOffsets integration.TestNegativeTimeOffsets integration.TestTimeOffsetsNeedANewTimeNamespace", "5.6"},
	{"linux.timeOffsets[]", "monotonic boottime", "both clocks", "integration.TestTimeOffsets", ""},

	{"state:{ociVersion,id,status,pid,bundle,annotations}", "", "computed when it is asked for; pid 0 once stopped", "integration.TestStateDocument integration.TestContractState integration.TestDocumentsFollowTheSchemas integration.TestHookGetsTheState", ""},
	{"state:status", "created running stopped", "and paused, of rt's own", "integration.TestDocumentsFollowTheSchemas integration.TestPauseAndResume", ""},
	{"state:status", "creating", "what hooks of the creation are told", "integration.TestHookGetsTheState integration.TestExecInAnUnfinishedContainer", ""},
	{"agent:{ociVersion,fds,pid,metadata} agent:state.{ociVersion,id,status,pid,bundle,annotations}", "", "what comes with a filter's listener", "integration.TestSeccompAgent", ""},

	{"features:{ociVersionMin,ociVersionMax,hooks,mountOptions,annotations,potentiallyUnsafeConfigAnnotations}", "", "from the tables by which configs are judged", "integration.TestFeatures integration.TestDocumentsFollowTheSchemas coverage.TestFeaturesAreWhole coverage.TestFeaturesNameWhatTheSpecificationHas", ""},
	{"features:linux.{namespaces,capabilities} features:linux.seccomp.{enabled,actions,operators,archs,knownFlags,supportedFlags} features:linux.memoryPolicy.{modes,flags}", "",
		"the same tables; every value of theirs has its row above", "integration.TestFeatures integration.TestDocumentsFollowTheSchemas coverage.TestFeaturesAreWhole coverage.TestFeaturesAreWhatConfigsAreJudgedBy", ""},
	{"features:linux.cgroup.{v1,v2,systemd,systemdUser,rdma}", "", "all true", "integration.TestFeatures integration.TestCgroupV1LimitFiles integration.TestCgroupV2LimitFiles integration.TestSystemdLifecycle integration.TestSystemdUser", ""},
	{"features:linux.{apparmor,selinux,netDevices,mountExtensions.idmap}.enabled features:linux.intelRdt.{enabled,schemata,monitoring}", "", "built in; the machine may still lack them",
		"integration.TestFeatures integration.TestLabelsNeedTheirModule integration.TestNetDevices integration.TestIDMapOptions integration.TestIntelRdtNeedsResctrl", ""},
}
