/* We are linked with musl, and Debian's libseccomp.a was compiled for glibc: this is all that it misses. */
#include <stdarg.h>
#include <stdio.h>

#ifndef __GLIBC__

int __fprintf_chk(FILE *f, int flag, const char *format, ...)
{
	va_list args;
	int n;

	(void)flag;
	va_start(args, format);
	n = vfprintf(f, format, args);
	va_end(args);
	return n;
}

#endif
