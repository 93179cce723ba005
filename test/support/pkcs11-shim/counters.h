/* Counts that processes share through a file. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cryptoki.h"
#include "plan.h"

/* How often each rule of a plan has met a call that it is for, and how often it has acted. */
struct rule_counts {
  _Atomic uint64_t calls[MAX_RULES];
  _Atomic uint64_t acts[MAX_RULES];
};

/* Which version of the control file a plan was read from. All zero: none. */
struct identity {
  int64_t inode, mtime_ns, size;
};

/* Adds one. Returns the sum. */
static inline uint64_t counters_add(_Atomic uint64_t *counter) {
  return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;
}

/* FILE may be NULL: then they are this process's own. Tells on stderr what is wrong. */
bool counters_open(const char *file);

void counters_add_call(enum function function);

/* Counts a call that the shim has spoilt. */
void counters_add_fault(enum function function);

/* Adds up for how long calls were delayed. */
void counters_add_delay(enum function function, int64_t ns);

/* The counts of a plan, from zero when no process has asked for them yet. */
struct rule_counts *counters_of_plan(const struct identity *identity);

#endif
