// Package specconv understands config.json: it reads one (Load), finds everything that is wrong with it
// (Validate), writes one to begin with (Example) and says what it understands (Features).
//
// It makes no system call but the read in Load, and knows nothing of the host that is not given to it:
// the same file gives the same answer on every machine. What to do about a config is libcontainer's and
// rootfs's business.
package specconv
