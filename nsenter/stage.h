/*
 * The stage: the C half of package nsenter. It is born from a sealed re-exec of
 * rt, reads a plan from one memfd and executes it step by step up to the user's
 * execve. It takes no decision: a step that fails is reported by number.
 *
 * Trust: the plan and the channel's other end are ours. The root filesystem and
 * every process in the namespaces are hostile, so a path below the root is only
 * ever followed by openat2 from the root's fd.
 */
#ifndef RT_STAGE_H
#define RT_STAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_NUM = 8, MAX_TEXT = 6, MAX_FDS = 16, MESSAGE_TEXT = 4096 };

/* The operations, in the order of the Go constants (a Go test compares them): op_NAME runs OP_NAME. */
#define OPERATIONS(X) \
	X(syscall) X(setns) X(ask) X(clone) X(attach) X(root) X(mount) X(tree) X(setattr) X(mkdir) \
	X(mknod) X(symlink) X(mask) X(readonly) X(console) X(pivot) X(procwrite) X(loopback) X(slot) \
	X(stdio) X(passwd) X(bounding) X(ambient) X(seccomp) X(chdir) X(hook) X(lookup) X(wait) X(exec) \
	X(reconfigure) X(unshare)

struct step;

#define AS_NUMBER(name) OP_##name,
#define AS_FUNCTION(name) int op_##name(const struct step *s);
enum op { OPERATIONS(AS_NUMBER) OP_COUNT };
OPERATIONS(AS_FUNCTION)

/* Messages. The Go side has the same numbers and checks who may say what when. */
enum message_type {
	MSG_PLAN = 1, MSG_FDS, MSG_CONTINUE, MSG_GO, MSG_PARK,	/* parent to stage */
	MSG_BORN = 16, MSG_ASK, MSG_READY, MSG_TRACE, MSG_ERROR,	/* stage to parent */
};

/* Fds that steps share. SLOT_LAST is the mount that the latest step attached. */
enum slot {
	SLOT_ROOT, SLOT_PROC, SLOT_EMPTY, SLOT_NULL, SLOT_LISTEN, SLOT_HOOK_STATE, SLOT_HOOK_OUTPUT,
	SLOT_PASSWD, SLOT_LAST, SLOT_COUNT
};

struct text {
	const char *p;		/* NUL-terminated; p[len] == 0 */
	uint32_t len;
};

struct step {
	uint32_t op;
	uint32_t index;
	uint64_t n[MAX_NUM];
	struct text s[MAX_TEXT];
};

struct message {
	uint32_t type;
	uint32_t step;
	int32_t code;		/* errno, pid, kind of question or of wait, by type */
	uint32_t reserved;
	char text[MESSAGE_TEXT];
};

struct stage {
	int channel;
	int fds[MAX_FDS];	/* received, not yet taken */
	int nfds, nextfd;
	int slot[SLOT_COUNT];
	int first_own_fd;	/* everything below is the user's: stdio and preserved fds */
	uint32_t step;
	const char *call;	/* what was being done, for the error message */
	char object[512];	/* … and to what */
	char home[MESSAGE_TEXT];	/* HOME=… answered by the parent, or empty */
	char program[4096];	/* the path that OP_LOOKUP found */
	int made;		/* make_target has made the last component */
	int moved;		/* OP_CHDIR has succeeded */
	int guessed;		/* the CLONE_NEW… types made on a guess that OP_UNSHARE has still to correct */
	int trace;
};

extern struct stage st;

/* wire.c */
struct plan { const unsigned char *p; size_t size, at; uint32_t steps, index; };
int plan_open(struct plan *plan, const void *p, size_t size);
int plan_next(struct plan *plan, struct step *step);
int failed(const char *call, const char *object);
int take_fd(void);
int send_message(uint32_t type, int32_t code, const char *text, size_t len, int fd);
int receive_message(struct message *m, uint32_t want);
void keep(int slot, int fd);
const char *text_next(const struct text *list, const char *at);
char **text_vector(const struct text *list, size_t spare);

/* path.c: the only door to names below the container's root */
int open_in_root(const char *unsafe_path, int flags);
int make_target(const char *unsafe_path, mode_t type);
int make_parent(const char *unsafe_path, char name[256]);

/* namespace.c, stage.c */
void guess_namespaces(void);
int close_foreign(void);
int op_syscall(const struct step *s);

/* early.c */
extern int early_channel, early_pid;
void prepare_go(int argc, char **argv);
int give_back(void);
int exec_sealed(int channel, const char *hint);

/* mount.c */
int attach_mount(int mount_fd, int target);
int clone_tree(int fd, unsigned flags);

/* copyup.c */
int copy_up(int from, int to);

#endif
