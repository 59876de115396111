/*
 * What the tests run: the whole stage, built with the sanitizers, around a main
 * that is the plan decoder (as a filter), the copier of tmpcopyup, or else the
 * program that a plan executes (it prints what it was given).
 */
#include "../stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_step(const struct step *s)
{
	printf("%u %u", s->index, s->op);
	for (int i = 0; i < MAX_NUM; i++)
		printf(" %llx", (unsigned long long)s->n[i]);
	for (int i = 0; i < MAX_TEXT; i++) {
		putchar(' ');
		putchar('"');
		for (uint32_t j = 0; j < s->s[i].len; j++)
			printf("%02x", (unsigned char)s->s[i].p[j]);
		putchar(s->s[i].p[s->s[i].len] ? '!' : '"');	/* the sanitizer also sees whether this byte is ours */
	}
	putchar('\n');
}

static void print_plan(const void *p, size_t size)
{
	struct plan plan;
	struct step step;
	int more = plan_open(&plan, p, size);

	for (int ok = more == 0; ok && (more = plan_next(&plan, &step)) > 0;)
		print_step(&step);
	puts(more < 0 ? "bad" : "end");
}

/* Decodes plan after plan, each after its length. Each has memory of exactly its size, so that reading beyond it shows. */
static int decode(void)
{
	uint32_t size;

	while (fread(&size, sizeof(size), 1, stdin) == 1) {
		char *p = malloc(size ? size : 1);

		if (p == NULL || (size && fread(p, size, 1, stdin) != 1))
			return 1;
		print_plan(p, size);
		if (fflush(stdout))
			return 1;
		free(p);
	}
	return 0;
}

static void print_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir))
			printf("fd=%s\n", e->d_name);
	if (dir)
		closedir(dir);
}

static void print_signals(void)
{
	struct sigaction sa;
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		if (sigismember(&set, sig))
			printf("blocked=%d\n", sig);
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			printf("ignored=%d\n", sig);
	}
}

static int probe(int argc, char **argv, char **env)
{
	char cwd[4096];
	mode_t mask = umask(0);

	for (int i = 0; i < argc; i++)
		printf("arg=%s\n", argv[i]);
	for (; *env; env++)
		printf("env=%s\n", *env);
	print_fds();
	print_signals();
	printf("umask=%03o\ncwd=%s\n", mask, getcwd(cwd, sizeof(cwd)) ? cwd : "-");
	printf("seccomp=%d\nnnp=%d\n", prctl(PR_GET_SECCOMP, 0, 0, 0, 0), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return 7;
}

static int copy(const char *from, const char *to)
{
	int in = open(from, O_PATH | O_DIRECTORY | O_CLOEXEC), out = open(to, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (copy_up(in, out) == 0)
		return 0;
	perror("copy_up");
	return 1;
}

int main(int argc, char **argv, char **env)
{
	give_back();	/* the constructor takes us for Go */
	if (argc == 4 && !strcmp(argv[1], "copyup"))
		return copy(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "decode"))
		return decode();
	return probe(argc, argv, env);
}
