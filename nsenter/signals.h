#ifndef RT_SIGNALS_H
#define RT_SIGNALS_H

#include <stdint.h>

int catch_signals(uint64_t mask, int fd);
void release_signals(uint64_t mask);

#endif
