/*
 * Signals of a foreground `rt run`. The Go runtime takes up each one that is to
 * be caught by a hand-over between threads: for sixty of them, three hundred
 * switches, more than making the container. A handler of our own that writes
 * the number to a pipe costs one system call each.
 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static int signal_pipe = -1;
static struct sigaction before[NSIG];

/* The pipe does not block: when it is full, thousands wait already and one more says nothing new. */
static void note_signal(int sig)
{
	unsigned char number = (unsigned char)sig;
	int saved = errno;

	while (write(signal_pipe, &number, 1) < 0 && errno == EINTR)
		;
	errno = saved;
}

/* Writes the number of each signal of mask (bit n-1 for signal n) to fd from now on. On the alternate stack, as Go demands of a handler. */
int catch_signals(uint64_t mask, int fd)
{
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_ONSTACK | SA_RESTART};

	signal_pipe = fd;
	sigfillset(&action.sa_mask);
	for (int sig = 1; sig < NSIG; sig++)
		if ((mask >> (sig - 1) & 1) && sigaction(sig, &action, &before[sig]) < 0)
			return -errno;
	return 0;
}

/* Gives the signals of mask back to whom catch_signals took them from. */
void release_signals(uint64_t mask)
{
	for (int sig = 1; sig < NSIG; sig++)
		if (mask >> (sig - 1) & 1)
			sigaction(sig, &before[sig], NULL);
	signal_pipe = -1;
}
