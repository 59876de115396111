/* The plan's decoder and the channel's messages: the stage's half of wire.go. */
#include "stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint32_t plan_magic = 0x31505452;	/* "RTP1" */

struct plan_header { uint32_t magic, size, steps, first; };
struct step_header { uint32_t size; uint8_t op, nums, texts, reserved; };

/* Lengths are 32 bits and checked here before use: CVE-2021-43784 was a length that wrapped at 16. */
int plan_open(struct plan *plan, const void *p, size_t size)
{
	struct plan_header h;

	if (size < sizeof(h))
		return -1;
	memcpy(&h, p, sizeof(h));
	if (h.magic != plan_magic || h.size != size)
		return -1;
	*plan = (struct plan){.p = p, .size = size, .at = sizeof(h), .steps = h.steps, .index = h.first};
	return 0;
}

static int take_text(struct plan *plan, size_t end, struct text *t)
{
	uint32_t len;

	if (end - plan->at < sizeof(len))
		return -1;
	memcpy(&len, plan->p + plan->at, sizeof(len));
	plan->at += sizeof(len);
	if (len >= end - plan->at || plan->p[plan->at + len] != 0)
		return -1;
	t->p = (const char *)plan->p + plan->at;
	t->len = len;
	plan->at += (size_t)len + 1;
	return 0;
}

/* 1: a step; 0: the end; -1: not a plan. */
int plan_next(struct plan *plan, struct step *step)
{
	struct step_header h;
	size_t end;

	memset(step, 0, sizeof(*step));
	if (plan->steps == 0)
		return plan->at == plan->size ? 0 : -1;
	if (plan->size - plan->at < sizeof(h))
		return -1;
	memcpy(&h, plan->p + plan->at, sizeof(h));
	if (h.size < sizeof(h) + 8u * h.nums || h.size > plan->size - plan->at || h.size % 8 != 0)
		return -1;
	if (h.op >= OP_COUNT || h.nums > MAX_NUM || h.texts > MAX_TEXT)
		return -1;
	end = plan->at + h.size;
	plan->at += sizeof(h);
	memcpy(step->n, plan->p + plan->at, 8u * h.nums);
	plan->at += 8u * h.nums;
	for (int i = 0; i < MAX_TEXT; i++)
		step->s[i].p = "";
	for (int i = 0; i < h.texts; i++)
		if (take_text(plan, end, &step->s[i]) < 0)
			return -1;
	step->op = h.op;
	step->index = plan->index++;
	plan->steps--;
	plan->at = end;
	return 1;
}

/* Remembers what failed and keeps errno. Always -1, so that `return failed(…)` reads well. */
int failed(const char *call, const char *object)
{
	int saved = errno;

	st.call = call;
	snprintf(st.object, sizeof(st.object), "%s", object);
	errno = saved;
	return -1;
}

int send_message(uint32_t type, int32_t code, const char *text, size_t len, int fd)
{
	uint32_t head[4] = {type, st.step, (uint32_t)code, 0};
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)text, len}};
	union { char buf[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(int));
	}
	return sendmsg(st.channel, &msg, MSG_NOSIGNAL) < 0 ? failed("sendmsg", "channel") : 0;
}

static void store_fds(struct msghdr *msg)
{
	st.nfds = st.nextfd = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		st.nfds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(st.fds, CMSG_DATA(c), (size_t)st.nfds * sizeof(int));
	}
}

/*
 * Waits for a message of type want (MSG_GO also accepts MSG_PARK). The end of
 * the channel means that rt is gone: a stage must not outlive its creator.
 * Fds that come along wait in st.fds for take_fd.
 */
int receive_message(struct message *m, uint32_t want)
{
	union { char buf[CMSG_SPACE(sizeof(int) * MAX_FDS)]; struct cmsghdr align; } control;
	struct iovec iov = {m, sizeof(*m) - 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	ssize_t n;

	do
		n = recvmsg(st.channel, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return errno = EPIPE, -1;
	if (n < 0)
		return failed("recvmsg", "channel");
	if ((size_t)n < offsetof(struct message, text) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return errno = EPROTO, failed("recvmsg", "channel");
	((char *)m)[n] = 0;
	store_fds(&msg);
	if (m->type != want && !(want == MSG_GO && m->type == MSG_PARK))
		return errno = EPROTO, failed("recvmsg", "channel");
	return 0;
}

/* The next fd of the plan: the parent sends them in the order in which the steps ask. */
int take_fd(void)
{
	static struct message m;

	if (st.nextfd == st.nfds && receive_message(&m, MSG_FDS) < 0)
		return -1;
	if (st.nextfd == st.nfds)
		return errno = EPROTO, failed("recvmsg", "channel: no fds");
	return st.fds[st.nextfd++];
}

void keep(int slot, int fd)
{
	if (st.slot[slot] >= 0)
		close(st.slot[slot]);
	st.slot[slot] = fd;
}

/* A list is one text with its items separated by NUL; begin with at == NULL, NULL is the end. */
const char *text_next(const struct text *list, const char *at)
{
	const char *next = at ? at + strlen(at) + 1 : list->p;

	return next < list->p + list->len ? next : NULL;
}

/* The list as an argv; spare more empty places stay at the end. */
char **text_vector(const struct text *list, size_t spare)
{
	size_t count = 0;
	char **v;

	for (const char *p = text_next(list, NULL); p; p = text_next(list, p))
		count++;
	v = calloc(count + spare + 1, sizeof(*v));
	if (v == NULL)
		return NULL;
	count = 0;
	for (const char *p = text_next(list, NULL); p; p = text_next(list, p))
		v[count++] = (char *)(uintptr_t)p;
	return v;
}
